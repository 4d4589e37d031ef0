import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { type RunningProgram, runProgram } from "../fixtures/run-program.ts";

const fixture = join(import.meta.dirname, "../fixtures/up.ts");
const started: RunningProgram[] = [];

afterEach(async () => {
  for (const { child, ended } of started.splice(0)) {
    child.kill("SIGKILL");
    await ended;
  }
});

function run(args: readonly string[], env: Record<string, string>): RunningProgram {
  const program = runProgram(fixture, args, { env: { BATON_STATE_DIRECTORY: "/srv/baton", ...env } });
  started.push(program);
  return program;
}

async function runUntilListening(ending: string): Promise<RunningProgram> {
  const program = run(["up"], { FIXTURE: ending });
  await expect.poll(program.stdout, { timeout: 10_000 }).toContain("baton listens on");
  return program;
}

describe("baton up", () => {
  it.each(["SIGINT", "SIGTERM"] as const)(
    "says where it listens, and stops in order on %s",
    async (signal) => {
      const program = await runUntilListening("in-order");
      program.child.kill(signal);
      const { status, stdout } = await program.ended;
      expect(stdout).toBe(
        "baton listens on http://127.0.0.1:7420\nthe admin token is in /srv/baton/admin-token\nstopping\n",
      );
      expect(status).toBe(0);
    },
  );

  it("ends at once on a second signal", async () => {
    const program = await runUntilListening("never");
    program.child.kill("SIGINT");
    await expect.poll(program.stdout).toContain("stopping");
    program.child.kill("SIGTERM");
    expect((await program.ended).status).toBe(143);
  });

  it("stops what is left and says why when it cannot go on", async () => {
    const { status, stdout, stderr } = await run(["up"], { FIXTURE: "by-itself" }).ended;
    expect(stdout).toContain("stopping");
    expect(stderr).toContain("baton: cannot go on: the database ended\n");
    expect(status).toBe(1);
  });

  it("says why it cannot start, in one line", async () => {
    const { status, stderr } = await run(["up"], { BATON_FAULT: "start" }).ended;
    expect({ status, stderr }).toEqual({ status: 1, stderr: "baton: cannot start: no database\n" });
  });

  it("gives the orchestrator what the options and the environment say", async () => {
    const program = run(["up", "--state", "state", "--listen", "[::1]:0", "--output", "json"], {
      FIXTURE: "in-order",
      BATON_DATABASE_URL: "postgres://db/baton",
      BATON_LOG_LEVEL: "warn",
    });
    await expect.poll(program.stdout, { timeout: 10_000 }).toContain("\n");
    program.child.kill("SIGTERM");
    const { stdout, stderr } = await program.ended;
    const stateDirectory = join(process.cwd(), "state");
    expect(JSON.parse(stdout.split("\n")[0] ?? "")).toEqual({
      url: "http://127.0.0.1:7420",
      tokenFile: join(stateDirectory, "admin-token"),
    });
    expect(JSON.parse(stderr)).toEqual({
      stateDirectory,
      listen: { host: "::1", port: 0, plainHttp: false },
      databaseUrl: "postgres://db/baton",
      agentCommand: ["agent"],
      logLevel: "warn",
    });
  });
});
