import { execFile, execFileSync, spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const main = join(import.meta.dirname, "../../packages/agent/src/main.ts");
const program = "openssl";
const missing = spawnSync(program, ["version"]).error !== undefined;
const needs = { part: "openssl", reason: "no openssl on PATH to make certificates with" };

describe("baton-agent check-config", { timeout: 60_000 }, () => {
  let directory = "";
  beforeAll(async () => void (directory = await mkdtemp(join(tmpdir(), "baton-check-"))));
  afterAll(() => rm(directory, { recursive: true, force: true }));
  const check = (args: readonly string[], env: NodeJS.ProcessEnv = {}) =>
    promisify(execFile)(
      process.execPath,
      [main, "check-config", "run", "--state-directory", join(directory, "state"), ...args],
      { env: { PATH: process.env["PATH"], ...env } },
    ).then(
      ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
      (error: { code: number; stdout: string; stderr: string }) => error,
    );

  it("prints the whole configuration of options, variables and file", async () => {
    const file = join(directory, "agent.json");
    await writeFile(file, JSON.stringify({ hook: { graceMs: 1234 } }));
    const { code, stdout, stderr } = await check(["--config", file, "--preset", "node", "--", "sleep", "1"], {
      BATON_PLATFORM_GRACE_MS: "4321",
    });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(JSON.parse(stdout)).toMatchObject({
      workload: { command: ["sleep", "1"] },
      platformGraceMs: 4321,
      hook: { preset: "node", signal: "SIGTERM", graceMs: 1234 },
    });
  });

  it("names everything that is missing at once", async () => {
    const { code, stderr } = await check(["--krake", "127.0.0.1:0", "--", "no-such-program"]);
    expect(code).toBe(2);
    expect(stderr).toContain("no-such-program");
    expect(stderr).toContain("KRAKE_SHUTDOWN_URL is not set");
  });

  it("wants to be told the mode", async () => {
    const { code, stderr } = (await promisify(execFile)(process.execPath, [main, "check-config"]).catch(
      (error: { code: number; stderr: string }) => error,
    )) as { code: number; stderr: string };
    expect(code).toBe(2);
    expect(stderr).toContain("say run or attach first");
  });

  it(
    "says that a key is not the certificate's, without a word of it",
    { skip: missing, meta: { needs } },
    async () => {
      for (const name of ["one", "other"])
        execFileSync(
          program,
          [
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            `/CN=${name}`,
          ].concat(["-keyout", `${name}.key`, "-out", `${name}.pem`]),
          { cwd: directory, stdio: "ignore" },
        );
      const tls = (key: string) => [
        "--tls-certificate",
        join(directory, "one.pem"),
        "--tls-key",
        join(directory, key),
      ];
      const wrong = await check([...tls("other.key"), "--", "sleep", "1"]);
      expect(wrong.code).toBe(2);
      expect(wrong.stderr).toMatch(/other\.key.* is not the key of .*one\.pem/);
      expect(wrong.stderr).not.toContain("BEGIN");
      expect(await check([...tls("one.key"), "--", "sleep", "1"])).toMatchObject({ code: 0, stderr: "" });
    },
  );
});
