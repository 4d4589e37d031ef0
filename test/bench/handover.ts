import { execFile } from "node:child_process";
import { performance } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type Verdict, settleMs } from "@baton/example-ledger/demo";
import { type Figure, median } from "./figure.ts";

const demo = fileURLToPath(import.meta.resolve("@baton/example-ledger/demo/main"));
const runMs = 120_000;
const defaultRuns = 20;

interface Run {
  readonly verdict: Verdict;
  readonly wallMs: number;
}

/** While the application is down, or may be. */
const steps = ["stop", "fence", "handOver", "start", "verify", "commit"];

/**
 * Whole demos in a row. References in the same run: a move by hand, by hard kill, which waits for nobody; and cold moves, where the target is made
 * while the application is down.
 */
export async function benchHandover(runs: number = defaultRuns): Promise<readonly Figure[]> {
  const moves: Run[] = [];
  const colds: Run[] = [];
  const kills: Run[] = [];
  for (let n = 0; n < runs; n += 1) {
    moves.push(await runDemo([]));
    if (n % 2 === 0) colds.push(await runDemo(["--cold"]));
    if (n % 4 === 0) kills.push(await runDemo(["--no-hook"]));
  }
  const verdicts = moves.map(({ verdict }) => verdict);
  const byBaton = [...moves, ...colds].map(({ verdict }) => verdict);
  const downtimes = (of: readonly Run[]) => of.flatMap(({ verdict }) => verdict.downtimeMs ?? []);
  const byHand = median(downtimes(kills));
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
  // Nothing else is taken off: the store's settle time, route and client count.
  const overheads = (of: readonly Run[]) =>
    of.flatMap(({ verdict: { downtimeMs, appStopMs, appStartMs } }) =>
      downtimeMs === null || appStopMs === null || appStartMs === null
        ? []
        : downtimeMs - appStopMs - appStartMs,
    );
  const warm = overheads(moves);
  /** Of a step, without what the application itself took in it. */
  const shareOf = (name: string) =>
    verdicts.flatMap(({ steps: seen, appStopMs, appStartMs }) => {
      const ms = seen.find((step) => step.name === name)?.ms ?? null;
      const own = { stop: appStopMs, start: appStartMs }[name] ?? 0;
      return ms === null ? [] : ms - own;
    });
  return [
    figure(
      "demos that did not commit",
      byBaton.filter(({ outcome }) => outcome !== "committed").length,
      "runs",
      0,
    ),
    figure(
      "entries lost, worst run",
      most(byBaton.map(({ entriesLost }) => entriesLost)),
      "entries",
      0,
      median(kills.map(({ verdict }) => verdict.entriesLost)),
    ),
    figure(
      "overlapping writers, worst run",
      most(byBaton.map(({ overlappingWriters }) => overlappingWriters)),
      "writes",
      0,
    ),
    figure("whole demo, slowest", most(moves.map(({ wallMs }) => wallMs)) / 1_000, "s", 60),
    figure("downtime, median; reference: by hard kill", median(downtimes(moves)), "ms", null, byHand),
    figure(
      "downtime, median; reference: cold",
      median(downtimes(moves)),
      "ms",
      null,
      median(downtimes(colds)),
    ),
    figure(
      `downtime less the application's own stop and start, ${settleMs} ms of settling in it, median; reference: cold`,
      warm.length === runs ? median(warm) : null,
      "ms",
      150,
      median(overheads(colds)),
    ),
    ...steps.map((name) =>
      figure(
        `step ${name}, less the application's own part of it, median`,
        median(shareOf(name)),
        "ms",
        null,
      ),
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
