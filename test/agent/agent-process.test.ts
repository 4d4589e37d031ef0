import { execFile } from "node:child_process";
import { readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it } from "vitest";
import { type AgentBed, createAgentBed, until } from "./agent-process.ts";

// P1 and P4: whatever happens to the agent's process, there is one run, one stop and one receipt.

let bed: AgentBed | null = null;
afterEach(async () => {
  await bed?.end();
  bed = null;
});

const kindsOf = (effects: readonly { readonly effect: string }[]) => effects.map(({ effect }) => effect);

describe("the agent's process", { timeout: 300_000 }, () => {
  it("starts by a grant, stops with a receipt, and starts again by the next grant", async () => {
    bed = await createAgentBed();
    const { run, epoch } = await bed.run();
    const { status } = await bed.stop({ run, epoch, key: "op.stop.1" });
    const receipt = await bed.receipt("op.stop.1");
    expect(status).toBe(202);
    expect(receipt).toMatchObject({ outcome: "graceful", evidenceClass: "proven", exit: { code: 0 } });
    const again = await bed.start(await bed.grant({ run, epoch }), "op.start.2");
    expect(again).toMatchObject({ state: "started", result: { run: { counter: 2 } } });
    expect(kindsOf(await bed.effects())).toEqual(["exec", "signal", "receipt", "exec"]);
    expect(bed.logs()).not.toMatch(/control-secret|eyJ/);
  });

  it("killed while the application runs is followed by one that adopts it and can stop it", async () => {
    bed = await createAgentBed();
    const { run, epoch } = await bed.run();
    const before = await bed.processes();
    await bed.signal("SIGKILL");
    expect(await bed.processes()).toHaveLength(1);
    await bed.begin();
    expect(await bed.status()).toMatchObject({ state: "running", run, ready: true });
    expect((await bed.processes()).map(({ pid }) => pid)).toEqual(before.map(({ pid }) => pid));
    await bed.stop({ run, epoch, key: "op.stop.1" });
    expect(await bed.receipt("op.stop.1")).toMatchObject({
      outcome: "crashed-during-stop",
      evidenceClass: "proven",
      exit: null,
    });
    expect(await bed.processes()).toEqual([]);
    expect(await bed.lease()).toMatchObject({ state: "stopped", run });
  });

  it("killed in the middle of a stop is followed by one that ends it under the same key, once", async () => {
    bed = await createAgentBed({ STOP_MS: "400" });
    const { run, epoch } = await bed.run();
    await bed.stop({ run, epoch, key: "op.stop.1" });
    await bed.signal("SIGKILL");
    await bed.begin();
    await bed.stop({ run, epoch, key: "op.stop.1" });
    const receipt = await bed.receipt("op.stop.1");
    expect(receipt).toMatchObject({ evidenceClass: "proven", evidence: { treeGone: true } });
    expect(await readdir(join(bed.stateDirectory, "receipts"))).toEqual(["op.stop.1.jws"]);
    expect(kindsOf(await bed.effects()).filter((effect) => effect === "receipt")).toHaveLength(1);
    const { confirmations } = bed;
    await until("the confirmation", async () => confirmations.length > 0);
    expect(new Set(confirmations).size).toBe(1);
  });

  it("killed at any moment of a stop leaves one true receipt", async () => {
    for (const afterMs of [0, 3, 6, 12, 25, 40, 60]) {
      bed = await createAgentBed({ STOP_MS: "10" });
      const { run, epoch } = await bed.run();
      const asked = bed.stop({ run, epoch, key: "op.stop.1" }).catch(() => null);
      await new Promise((resolve) => setTimeout(resolve, afterMs));
      await bed.signal("SIGKILL");
      await asked;
      await bed.begin();
      await bed.stop({ run, epoch, key: "op.stop.1" });
      const receipt = await bed.receipt("op.stop.1");
      expect(receipt).toMatchObject({ evidenceClass: "proven", run });
      // Whoever did not see the status must not call it graceful; nor say that it was over before anybody asked.
      expect(receipt.outcome).toBe(receipt.exit === null ? "crashed-during-stop" : "graceful");
      expect(await bed.processes()).toEqual([]);
      expect(kindsOf(await bed.effects()).filter((effect) => effect === "exec")).toHaveLength(1);
      await bed.end();
    }
  });

  it("killed at any moment of a start never executes twice, and what it left can be stopped", async () => {
    for (const afterMs of [0, 4, 8, 12, 18, 30]) {
      bed = await createAgentBed();
      await bed.begin();
      const given = await bed.grant();
      const asked = bed.start(given, "op.start.1").catch(() => null);
      await new Promise((resolve) => setTimeout(resolve, afterMs));
      await bed.signal("SIGKILL");
      await asked;
      await bed.begin();
      await bed.start(given, "op.start.1");
      const { run } = await bed.status();
      expect(kindsOf(await bed.effects()).filter((effect) => effect === "exec").length).toBeLessThanOrEqual(
        1,
      );
      if (run !== null) {
        await bed.stop({ run, epoch: given.epoch, key: "op.stop.1" });
        expect(await bed.receipt("op.stop.1")).toMatchObject({ evidenceClass: "proven", run });
        expect(await bed.lease()).toMatchObject({ state: "stopped", run });
      }
      expect(await bed.processes()).toEqual([]);
      await bed.end();
    }
  });

  it("told to end stops the application, leaves a receipt, and exits with 0", async () => {
    bed = await createAgentBed();
    await bed.run();
    expect(await bed.signal("SIGTERM")).toBe(0);
    expect(await bed.processes()).toEqual([]);
    expect(await readdir(join(bed.stateDirectory, "receipts"))).toHaveLength(1);
    expect(await bed.lease()).toMatchObject({ state: "stopped" });
  });
});

describe("the command line", () => {
  const main = fileURLToPath(new URL("../../packages/agent/src/main.ts", import.meta.url));
  const call = (...args: string[]) =>
    promisify(execFile)(process.execPath, [main, ...args]).then(
      ({ stdout }) => ({ code: 0, stdout, stderr: "" }),
      (error: { code: number; stdout: string; stderr: string }) => error,
    );

  it("tells its version", async () => {
    expect(await call("--version")).toMatchObject({ code: 0, stdout: "0.1.0\n" });
  });

  it("names every wrong field of a configuration in one line, and exits with 2", async () => {
    bed = await createAgentBed();
    const path = join(bed.directory, "wrong.json");
    const config = JSON.parse(await readFile(join(bed.directory, "agent.json"), "utf8")) as object;
    await writeFile(
      path,
      JSON.stringify({ ...config, placement: 3, surplus: true, hook: { signal: "SIGFOO" } }),
    );
    const { code, stderr } = await call("run", "--config", path);
    expect(code).toBe(2);
    expect(stderr.trim().split("\n")).toHaveLength(1);
    for (const field of ["placement", "surplus", "hook.signal"]) expect(stderr).toContain(field);
  });

  it("says how it is used, and exits with 2", async () => {
    for (const args of [[], ["walk"], ["run"], ["run", "--config", "/nowhere.json"], ["--nonsense"]]) {
      const { code, stderr } = await call(...args);
      expect(code).toBe(2);
      expect(stderr).toMatch(/usage|cannot (read|use)/);
    }
  });
});
