import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { until } from "../containers/until.ts";
import { type AgentLife, type PresetBed, createPresetBed } from "./preset-bed.ts";

/** Says that it runs, and ends well at SIGTERM. */
const application = ["sh", "-c", `trap "exit 0" TERM; echo "it runs"; while :; do sleep 0.02; done`];
const oneGigabyte = 1_000_000_000;

describe("a quiesce command", () => {
  let bed: PresetBed;
  beforeEach(async () => {
    bed = await createPresetBed();
  });
  afterEach(() => bed.end());

  const serve = async (options: readonly string[], command: readonly string[] = application) => {
    const life = await bed.begin({ preset: "generic", options, command });
    await until("the application runs", () => life.output().includes("it runs"));
    return life;
  };
  const mark = (name: string) => join(bed.data, name);
  /** How many of the run's processes are called so. */
  const count = async (life: AgentLife, name: string) =>
    (await life.members()).filter(({ comm }) => comm === name).length;

  it("that hangs is killed with its children after its time, and refuses the stop: case 12", async () => {
    const life = await serve([
      "--quiesce",
      "tail -f /dev/null & tail -f /dev/null",
      "--quiesce-timeout-ms",
      "500",
      "--quiesce-undo",
      `: > ${mark("undone")}`,
      "--kill-allowed",
    ]);
    const receipt = await life.stop();
    expect(receipt).toMatchObject({ outcome: "refused", exit: null, signals: [] });
    const [hung, undone] = receipt.phases;
    expect(hung).toMatchObject({ phase: "quiesce", result: "late" });
    expect(hung?.ms).toBeGreaterThanOrEqual(499);
    expect(hung?.detail).toContain("did not end");
    expect(undone).toMatchObject({ phase: "quiesce", result: "done" });
    expect(existsSync(mark("undone"))).toBe(true);
    expect(await life.isReady()).toBe(true);
    expect(await count(life, "tail")).toBe(0);
  });

  it("that fails refuses the stop with its own words: case 12", async () => {
    const life = await serve(["--quiesce", `echo "the save failed: no space" >&2; exit 7`]);
    const receipt = await life.stop();
    expect(receipt).toMatchObject({ outcome: "refused", exit: null, signals: [] });
    expect(receipt.phases[0]?.detail).toBe('"sh" ended with status 7: the save failed: no space');
    expect(receipt.evidence.remaining[0]).toContain("the save failed: no space");
    expect(await life.isReady()).toBe(true);
  });

  it("that cannot be executed refuses the stop", async () => {
    const life = await serve(["--quiesce", `["/nowhere/save"]`]);
    const receipt = await life.stop();
    expect(receipt).toMatchObject({ outcome: "refused", signals: [] });
    expect(receipt.phases[0]?.detail).toContain("ENOENT");
  });

  it("whose failure the hook lets pass is told, and the stop goes on", async () => {
    const life = await serve(["--quiesce", "exit 7", "--quiesce-on-failure", "continue"]);
    const receipt = await life.stop();
    expect(receipt).toMatchObject({ outcome: "graceful", signals: [{ signal: "SIGTERM" }] });
    expect(receipt.phases[0]).toMatchObject({ phase: "quiesce", result: "failed" });
  });

  it("that leaves a daemon is done at once, and the daemon belongs to what must be gone: case 12", async () => {
    const life = await serve(["--quiesce", "setsid tail -f /dev/null > /dev/null 2>&1 &"]);
    const receipt = await life.stop();
    expect(receipt).toMatchObject({ outcome: "graceful", evidenceClass: "proven" });
    expect(receipt.phases[0]).toMatchObject({ phase: "quiesce", result: "done" });
    expect(receipt.phases[0]?.ms).toBeLessThan(5_000);
    expect(await count(life, "tail")).toBe(0);
  });

  it("that leaves a daemon which holds its output open does not hold the stop", async () => {
    const life = await serve(["--quiesce", "setsid tail -f /dev/null &"]);
    expect(await life.stop()).toMatchObject({ outcome: "graceful", evidenceClass: "proven" });
    expect(await count(life, "tail")).toBe(0);
  });

  it("that leaves a daemon which ignores the signal: nothing is called stopped while it lives", async () => {
    const daemon = `setsid sh -c 'trap "" TERM; while :; do sleep 0.1; done' > /dev/null 2>&1 &`;
    const life = await serve(["--quiesce", daemon, "--grace-ms", "1000"]);
    const receipt = await life.stop();
    expect(receipt).toMatchObject({ evidenceClass: "unknown", evidence: { treeGone: false } });
    expect(receipt.evidence.remaining.join()).toContain("(sh) lives");
  });

  it("that writes a gigabyte ends, and the agent's memory does not grow with what it wrote: case 12", async () => {
    const life = await serve([
      "--quiesce",
      `head -c ${oneGigabyte} /dev/zero; echo "the last words"; exit 1`,
    ]);
    const before = await peakBytes(life.pid);
    const receipt = await life.stop();
    const after = await peakBytes(life.pid);
    expect(receipt.phases[0]?.detail).toContain("the last words");
    expect(receipt.phases[0]?.detail?.length).toBeLessThan(500);
    // What was read and not collected yet; the next gigabyte needs no more.
    expect(after - before).toBeLessThan(oneGigabyte / 8);
    expect(await life.stop()).toMatchObject({ outcome: "refused" });
    expect((await peakBytes(life.pid)) - after).toBeLessThan(oneGigabyte / 20);
  });

  it("during which the application ends is followed by no signal, and its own exit status counts: case 12", async () => {
    const ends = await serve(["--quiesce", `kill -TERM $(cat ${mark("pid")}); sleep 0.5`], withPidFile());
    expect(await ends.stop()).toMatchObject({
      outcome: "graceful",
      evidenceClass: "proven",
      exit: { code: 0, signal: null },
      signals: [],
    });
  });

  it("during which the application crashes does not make that graceful: case 12", async () => {
    const crashes = await serve(
      ["--quiesce", `kill -SEGV $(cat ${mark("pid")}); sleep 0.5; exit 1`],
      withPidFile(),
    );
    expect(await crashes.stop()).toMatchObject({
      outcome: "crashed-during-stop",
      evidenceClass: "proven",
      exit: { code: null, signal: "SIGSEGV" },
    });
  });

  const withPidFile = () => [
    "sh",
    "-c",
    `echo $$ > ${mark("pid")}; trap "exit 0" TERM; echo "it runs"; while :; do sleep 0.02; done`,
  ];
});

/** The most memory that a process ever had. */
async function peakBytes(pid: number): Promise<number> {
  const [, kilobytes] = /^VmHWM:\s+(\d+) kB/m.exec(await readFile(`/proc/${pid}/status`, "utf8")) ?? [];
  if (kilobytes === undefined) throw new Error(`the memory of ${pid} cannot be read`);
  return Number(kilobytes) * 1_024;
}
