import { setTimeout as delay } from "node:timers/promises";
import {
  type Ended,
  type EngineBed,
  type EngineProcess,
  openEngineBed,
  peakMb,
} from "@baton/orchestrator/bench";
import { type Figure, floorFigure, median, ratioFigure, valueFigure } from "./figure.ts";

const bench = "engine";
const atOnce = 100;
const usualRuns = 5;
const warmUps = 20;
const moves = Number(process.env["BENCH_MIGRATIONS"] ?? 1_000);
/** Finished operations in the store. */
const stored = Number(process.env["BENCH_OPERATIONS"] ?? 10_000);
/** What a list shows at most; the reference's store holds no more. */
const page = 100;
const lookEveryMs = 250;

/** Real engine, sagas, records and embedded Postgres; agents, clusters and stores are simulated in the bench's own process. */
export async function benchEngine(runs: number = usualRuns): Promise<readonly Figure[]> {
  return [...(await measureMoves(runs)), ...(await measureStore(Math.max(runs, 3) * 6))];
}

async function measureMoves(runs: number): Promise<readonly Figure[]> {
  const bed = await openEngineBed();
  try {
    let engine = await bed.start();
    const applications = await engine.ask<"deploy", string[]>("deploy", {
      from: 0,
      count: Math.max(moves, atOnce) + warmUps,
    });
    const warm = applications.splice(0, warmUps);
    const first = await engine.ask<"move", Ended>("move", { applications: warm, to: "harbor-b", atOnce });
    const steps = await engine.ask<"journal", number>("journal", { operation: first.operations[0] ?? "" });
    const before = await peakMb(engine.pid);
    const database = watchPeak(bed.databaseMb);
    const moved = await engine.ask<"move", Ended>("move", {
      applications: applications.slice(0, moves),
      to: "harbor-b",
      atOnce,
    });
    const [engineMb, databaseMb] = [await peakMb(engine.pid), await database.end()];
    const plainMs = await engine.ask<"plain", number>("plain", { workflows: moves, steps, atOnce });
    const resumed: Interruption[] = [];
    const takenOver: Interruption[] = [];
    const some = applications.slice(0, atOnce);
    const clusters = ["harbor-a", "harbor-b"];
    // Some of them were never moved so far.
    if (moves < atOnce) await engine.ask("move", { applications: some.slice(moves), to: "harbor-b", atOnce });
    for (let n = 0; n < 2 * runs; n += 1) {
      const isTakeover = n % 2 === 1;
      const next = isTakeover ? await bed.start() : null;
      const to = clusters[n % 2] ?? "";
      const interruption = await interrupt(bed, engine, some, to, next);
      engine = interruption.next;
      (isTakeover ? takenOver : resumed).push(interruption);
    }
    const perSecond = (count: number, ms: number): number => (count / ms) * 1_000;
    const all = [...resumed, ...takenOver];
    return [
      floorFigure({
        bench,
        figure: `migrations, ${atOnce} at once; reference: workflows of ${steps} steps that do nothing`,
        value: perSecond(moves - moved.failures.length, moved.ms),
        unit: "1/s",
        reference: perSecond(moves, plainMs),
        atLeast: 60,
      }),
      valueFigure({
        bench,
        figure: `migrations of ${moves} that did not commit`,
        value: moved.failures.length,
        unit: "migrations",
        atMost: 0,
      }),
      valueFigure({
        bench,
        figure: "peak RSS of the engine's process; reference: before them",
        value: engineMb,
        unit: "MB",
        reference: before,
        atMost: 300,
      }),
      valueFigure({
        bench,
        figure: "the same with its Postgres (PSS)",
        value: engineMb + databaseMb,
        unit: "MB",
        atMost: 300,
      }),
      valueFigure({
        bench,
        figure: "SIGKILL to the first step of the next process, median",
        value: median(resumed.map(({ firstMs }) => firstMs)),
        unit: "ms",
        atMost: 2_000,
      }),
      valueFigure({
        bench,
        figure: `until each of those under way, of ${atOnce}, has gone on, slowest`,
        value: Math.max(...resumed.map(({ allMs }) => allMs)),
        unit: "ms",
        atMost: null,
      }),
      valueFigure({
        bench,
        figure: "SIGKILL to the first step of another replica, median",
        value: median(takenOver.map(({ firstMs }) => firstMs)),
        unit: "ms",
        atMost: 5_000,
      }),
      valueFigure({
        bench,
        figure: `until each of those under way, of ${atOnce}, has gone on there, slowest`,
        value: Math.max(...takenOver.map(({ allMs }) => allMs)),
        unit: "ms",
        atMost: null,
      }),
      valueFigure({
        bench,
        figure: "interrupted migrations that did not commit",
        value: all.reduce((sum, { failures }) => sum + failures, 0),
        unit: "migrations",
        atMost: 0,
      }),
      valueFigure({
        bench,
        figure: "moments with two running placements",
        value: bed.harbour.overlaps.length,
        unit: "moments",
        atMost: 0,
      }),
    ];
  } finally {
    await bed.end();
  }
}

interface Interruption {
  readonly firstMs: number;
  readonly allMs: number;
  readonly failures: number;
  readonly next: EngineProcess;
}

/** Kills the engine in the midst of migrations: `waiting` takes over, or one that is started at once goes on. */
async function interrupt(
  bed: EngineBed,
  engine: EngineProcess,
  applications: readonly string[],
  to: string,
  waiting: EngineProcess | null,
): Promise<Interruption> {
  const underWay = Promise.withResolvers<void>();
  const begun = new Set<string>();
  const goneOn = new Map<string, number>();
  const unwatch = bed.watchCalls(({ by, at, operation }) => {
    if (by !== engine) {
      if (!goneOn.has(operation)) goneOn.set(operation, at);
      return;
    }
    begun.add(operation);
    if (begun.size === applications.length) underWay.resolve();
  });
  // Nobody is left to answer.
  const beginning = engine.ask("begin", { applications, to }).catch(() => undefined);
  await underWay.promise;
  const killedAt = await engine.kill();
  await beginning;
  const next = waiting ?? (await bed.start());
  const { failures } = await next.ask<"ended", Ended>("ended", { operations: [...begun] });
  unwatch();
  const times = [...goneOn.values()].map((at) => at - killedAt);
  return {
    firstMs: Math.min(...times),
    allMs: Math.max(...times),
    failures: failures.length,
    next,
  };
}

/** Two stores side by side, asked in turn: one holds a page of finished operations, the other one very many. */
async function measureStore(runs: number): Promise<readonly Figure[]> {
  const kinds = ["start", "list", "explain"] as const;
  const [few, many] = await Promise.all([openStore(page), openStore(stored)]);
  try {
    // The first one of each warms it up.
    await Promise.all([measureOnce(few, 0), measureOnce(many, 0)]);
    const times = kinds.map((kind) => ({ kind, few: [] as number[], many: [] as number[] }));
    for (let n = 1; n <= runs; n += 1) {
      const [inFew, inMany] = [await measureOnce(few, n), await measureOnce(many, n)];
      for (const { kind, ...of } of times) {
        of.few.push(inFew[kind]);
        of.many.push(inMany[kind]);
      }
    }
    return times.map(({ kind, ...of }) =>
      ratioFigure({
        bench,
        figure: `${kind} with ${stored} finished operations in the store, median; reference: with ${page}`,
        value: median(of.many),
        unit: "ms",
        reference: median(of.few),
        atMost: 1.3,
      }),
    );
  } finally {
    await Promise.all([few.bed.end(), many.bed.end()]);
  }
}

interface Store {
  readonly bed: EngineBed;
  readonly engine: EngineProcess;
  readonly application: string;
  readonly operation: string;
}

async function openStore(count: number): Promise<Store> {
  const bed = await openEngineBed();
  try {
    const engine = await bed.start();
    const applications = await engine.ask<"deploy", string[]>("deploy", { from: 0, count: warmUps });
    const { operations } = await engine.ask<"move", Ended>("move", { applications, to: "harbor-b", atOnce });
    const [application = ""] = applications;
    const [operation = ""] = operations;
    await engine.ask("fill", { operation, count });
    return { bed, engine, application, operation };
  } catch (error) {
    await bed.end();
    throw error;
  }
}

async function measureOnce({ engine, application, operation }: Store, n: number) {
  const to = n % 2 === 0 ? "harbor-a" : "harbor-b";
  return {
    start: await engine.ask<"timeStart", number>("timeStart", { application, to }),
    list: await engine.ask<"timeList", number>("timeList", null),
    explain: await engine.ask<"timeExplain", number>("timeExplain", { operation }),
  };
}

/** The most of what is looked at again and again. */
function watchPeak(look: () => Promise<number>): { end(): Promise<number> } {
  const ending = new AbortController();
  const watching = (async () => {
    let most = await look();
    while (!ending.signal.aborted) {
      await delay(lookEveryMs, undefined, { signal: ending.signal }).catch(() => undefined);
      most = Math.max(most, await look());
    }
    return most;
  })();
  return {
    end: () => {
      ending.abort();
      return watching;
    },
  };
}
