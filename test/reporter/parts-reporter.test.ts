import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { describe, expect, it } from "vitest";

const config = join(import.meta.dirname, "fixtures/vitest.config.ts");
const missingParts = [
  "not run: lease > on a real store (needs minio: no minio on PATH)",
  "not run: lease > survives (needs a cluster: no KUBECONFIG)",
];

describe("the end of a test run", { timeout: 60_000 }, () => {
  it("names the parts that were missing, then the counts", async () => {
    const run = await runFixtures(["missing-part", "present-part"], { CI: "" });
    expect(run.lastLines(3)).toEqual([...missingParts, "2 passed, 0 failed, 4 skipped"]);
    expect(run.exitCode).toBe(0);
  });

  it("fails in CI when a part is missing", async () => {
    const run = await runFixtures(["missing-part", "present-part"], { CI: "true" });
    expect(run.lastLines(3)).toEqual([...missingParts, "2 passed, 2 failed, 4 skipped"]);
    expect(run.exitCode).toBe(1);
  });

  it("names a part that the build machine cannot have, and does not fail in CI for it", async () => {
    const run = await runFixtures(["part-nowhere"], { CI: "true" });
    expect(run.lastLines(2)).toEqual([
      "not run: a server (needs valkey: no valkey-server here)",
      "1 passed, 0 failed, 1 skipped",
    ]);
    expect(run.exitCode).toBe(0);
  });

  it("passes in CI when no part is missing, whatever else was skipped", async () => {
    const run = await runFixtures(["present-part"], { CI: "true" });
    expect(run.lastLines(1)).toEqual(["1 passed, 0 failed, 1 skipped"]);
    expect(run.exitCode).toBe(0);
  });

  it("counts a file that cannot be loaded as a failure", async () => {
    const run = await runFixtures(["broken"], { CI: "" });
    expect(run.lastLines(1)).toEqual(["0 passed, 1 failed"]);
    expect(run.exitCode).toBe(1);
  });

  it("counts a file that leaves something running as a failure", async () => {
    const run = await runFixtures(["leak"], { CI: "" });
    expect(run.errors).toContain("this file leaves running: 1 TCPServerWrap, 1 Timeout");
    expect(run.lastLines(1)).toEqual(["1 passed, 1 failed"]);
    expect(run.exitCode).toBe(1);
  });

  it("keeps the summary of vitest", async () => {
    const run = await runFixtures(["present-part"], { CI: "" });
    expect(run.output).toMatch(/Test Files +1 passed \(1\)/);
  });
});

interface FixtureRun {
  readonly exitCode: number | null;
  readonly output: string;
  readonly errors: string;
  readonly lastLines: (count: number) => string[];
}

async function runFixtures(names: readonly string[], env: { readonly CI: string }): Promise<FixtureRun> {
  const vitest = join(import.meta.dirname, "../../node_modules/vitest/vitest.mjs");
  const child = spawn(process.execPath, [vitest, "run", "--config", config, ...names], {
    env: { PATH: process.env["PATH"], NO_COLOR: "1", ...env },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 50_000,
  });
  const [output, errors, [exitCode]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "exit"),
  ]);
  return { exitCode, output, errors, lastLines: (count) => output.trimEnd().split("\n").slice(-count) };
}
