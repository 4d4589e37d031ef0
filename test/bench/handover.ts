import { execFile } from "node:child_process";
import { performance } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Verdict } from "@baton/example-ledger/demo";
import { type Figure, median } from "./figure.ts";

const demo = fileURLToPath(import.meta.resolve("@baton/example-ledger/demo/main"));
const runMs = 120_000;
const defaultRuns = 20;

interface Run {
  readonly verdict: Verdict;
  readonly wallMs: number;
}

/** Whole demos in a row; the reference is a move by hand in the same run, by hard kill, which waits for nobody. */
export async function benchHandover(runs: number = defaultRuns): Promise<readonly Figure[]> {
  const moves: Run[] = [];
  const kills: Run[] = [];
  for (let n = 0; n < runs; n += 1) {
    moves.push(await runDemo([]));
    if (n % 4 === 0) kills.push(await runDemo(["--no-hook"]));
  }
  const verdicts = moves.map(({ verdict }) => verdict);
  const byHand = median(kills.flatMap(({ verdict }) => verdict.downtimeMs ?? []));
  const figure = (
    name: string,
    value: number | null,
    unit: string,
    target: number | null,
    reference: number | null = null,
  ): Figure => ({
    bench: "handover",
    figure: name,
    value,
    unit,
    reference,
    ratio: value === null || reference === null || reference === 0 ? null : value / reference,
    target,
    ok: value !== null && (target === null || value <= target),
  });
  const most = (values: readonly number[]) => Math.max(...values);
  const overheads = verdicts.flatMap(({ downtimeMs, appStopMs, appStartMs }) =>
    downtimeMs === null || appStopMs === null || appStartMs === null
      ? []
      : downtimeMs - appStopMs - appStartMs,
  );
  return [
    figure(
      "demos that did not commit",
      verdicts.filter(({ outcome }) => outcome !== "committed").length,
      "runs",
      0,
    ),
    figure(
      "entries lost, worst run",
      most(verdicts.map(({ entriesLost }) => entriesLost)),
      "entries",
      0,
      median(kills.map(({ verdict }) => verdict.entriesLost)),
    ),
    figure(
      "overlapping writers, worst run",
      most(verdicts.map(({ overlappingWriters }) => overlappingWriters)),
      "writes",
      0,
    ),
    figure("whole demo, slowest", most(moves.map(({ wallMs }) => wallMs)) / 1_000, "s", 60),
    figure(
      "downtime, median",
      median(verdicts.flatMap(({ downtimeMs }) => downtimeMs ?? [])),
      "ms",
      null,
      byHand,
    ),
    figure(
      "downtime without the application's stop and start, median",
      overheads.length === runs ? median(overheads) : null,
      "ms",
      300,
    ),
    figure(
      "the application's own stop, slowest",
      most(verdicts.flatMap(({ appStopMs }) => appStopMs ?? [])),
      "ms",
      200,
    ),
    figure(
      "runs with fewer than 50 entries unflushed at the stop",
      verdicts.filter(({ entriesUnflushedAtStop }) => (entriesUnflushedAtStop ?? 0) < 50).length,
      "runs",
      0,
    ),
    figure(
      "runs by hand without a loss",
      kills.filter(({ verdict }) => verdict.entriesLost === 0).length,
      "runs",
      0,
    ),
  ];
}

async function runDemo(args: readonly string[]): Promise<Run> {
  const began = performance.now();
  // A lossy move exits with 1 and still says what it saw.
  const { stdout } = await promisify(execFile)(process.execPath, [demo, "--json", ...args], {
    timeout: runMs,
  }).catch((error: unknown) => error as { stdout: string });
  const line = stdout.trim().split("\n").at(-1) ?? "";
  return { verdict: JSON.parse(line) as Verdict, wallMs: performance.now() - began };
}
