import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { startChild } from "./child.ts";
import { type KeptProgram, keepRunning } from "./keep-running.ts";

const waitMs = 15_000;
const waits = `process.on("SIGTERM", () => process.exit(0)); setInterval(() => undefined, 1000); console.log("ready")`;

let directory: string;
let kept: KeptProgram | undefined;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "ledger-keep-"));
});
afterEach(async () => {
  await kept?.stop();
  await rm(directory, { recursive: true });
});

/** @param scripts of one start after the other; the last one for every later start. */
async function keep(...scripts: readonly string[]) {
  const ends: (NodeJS.Signals | null)[] = [];
  const left = [...scripts];
  let starts = 0;
  const start = () => {
    starts += 1;
    const script = (left.length > 1 ? left.shift() : left[0]) ?? "";
    const command = [process.execPath, "-e", script];
    return startChild({ command, logFile: join(directory, "log"), isReady: () => true });
  };
  kept = await keepRunning({ start, onEnd: (signal) => void ends.push(signal) });
  return { program: kept, ends, starts: () => starts };
}

it("starts again what was killed, and what cannot start at first", async () => {
  const { program, ends, starts } = await keep(waits, "process.exit(1)", waits);
  const first = program.pid();
  process.kill(first, "SIGKILL");
  await vi.waitUntil(() => program.pid() !== first, { timeout: waitMs });
  expect(ends).toEqual(["SIGKILL"]);
  expect(starts()).toBe(3);
});

it("starts again what failed, and not what ended in order", async () => {
  const fails = `console.log("ready"); setTimeout(() => process.exit(3), 50)`;
  const ends0 = `console.log("ready"); setTimeout(() => process.exit(0), 50)`;
  const { program, ends, starts } = await keep(fails, ends0);
  const first = program.pid();
  await vi.waitUntil(() => program.pid() !== first && !isThere(program.pid()), { timeout: waitMs });
  expect(ends).toEqual([null]);
  expect(starts()).toBe(2);
});

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
