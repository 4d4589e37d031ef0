import { setTimeout as delay } from "node:timers/promises";
import { application, clusters, runOperation } from "@baton/example-ledger/demo";
import { readStat, signalProcess } from "@baton/process-tree";
import type { Operation } from "@baton/protocol";
import type { Journey } from "../e2e/journey.ts";
import type { Bed } from "./bed.ts";
import { findBroken, livingPlacements } from "./check.ts";
import { goOnUntilItEnds } from "./decide.ts";
import { pollUntil } from "./poll-until.ts";
import { strike } from "./strike.ts";
import type { Torment } from "./torment.ts";

const reachMs = 60_000;
const startsByHand = 3;

export interface Ending {
  readonly state: Operation["state"];
  readonly reason: string | null;
  /** What a person decided on the way. */
  readonly decisions: readonly string[];
  /** Blows that met somebody; null where the operation ended before it came to the step, as after the death of an agent in the run before. */
  readonly met: number | null;
  /** Whether `baton start` was needed, as it is after a crash of the application. */
  readonly startedByHand: boolean;
  /** Broken promises in words; empty when all hold. */
  readonly broken: readonly string[];
  readonly ms: number;
}

/**
 * One migration to the other cluster under these blows. Whoever was met comes back as it would in life: orchestrator, store and database are started
 * again, an agent by whoever needs it, an application that crashed by a person's `baton start`. @throws what broke in between
 */
export async function runTorment({ journey, plant, away }: Bed, torment: Torment): Promise<Ending> {
  const { harbour } = journey;
  const { client } = harbour;
  const startedAt = performance.now();
  away(torment.awayMs);
  await plant(`pause@migrate.${torment.step}:${torment.moment}`);
  const { cluster } = await client.route(application);
  const to = clusters.find((name) => name !== cluster) ?? clusters[0];

  let seen: Operation | undefined;
  const ended = new AbortController();
  const blows = deliver(journey, torment, () => seen, ended.signal);
  // Awaited below, after the operation, which may fail first.
  blows.catch(() => undefined);
  let operation: Operation;
  try {
    operation = await runOperation(
      client,
      { kind: "migrate", application, to, cold: torment.cold },
      (now) => void (seen = now),
    );
  } finally {
    ended.abort();
    await blows.catch(() => undefined);
  }
  const met = await blows;
  operation = await goOnUntilItEnds(client, operation);
  const startedByHand = await startWhereNothingLives(journey);
  await journey.served();
  return {
    state: operation.state,
    reason: operation.reason,
    decisions: operation.decisions.map(({ kind }) => kind),
    met,
    startedByHand,
    broken: [...findUnsaid(operation), ...(await findBroken(journey))],
    ms: Math.round(performance.now() - startedAt),
  };
}

/**
 * At the step's moment the orchestrator stands still by itself, so that the first blow falls exactly there. @returns how many met somebody; null when
 * the operation ended before
 */
async function deliver(
  { harbour }: Journey,
  { step, moment, blows }: Torment,
  operation: () => Operation | undefined,
  ended: AbortSignal,
): Promise<number | null> {
  const reached = await pollUntil(reachMs, async () => ended.aborted || (await standsStill(harbour)), 2);
  if (ended.aborted) return null;
  if (!reached) throw new Error(`the operation did not come to ${step}:${moment} in ${reachMs} ms`);
  const orchestrator = await harbour.processOf("orchestrator");
  await pollUntil(2_000, async () => operation() !== undefined);
  let met = 0;
  const over: Promise<void>[] = [];
  let isStill = true;
  const release = async (): Promise<void> => {
    if (isStill && orchestrator !== null) await signalProcess(orchestrator, "SIGCONT");
    isStill = false;
  };
  for (const blow of blows) {
    if (blow.afterMs > 0) {
      await release();
      await delay(blow.afterMs);
    }
    const current = operation();
    if (current === undefined) break;
    const struck = await strike(harbour, current, blow);
    if (struck.met) met += 1;
    over.push(struck.over);
    // It is paused already; now for longer.
    if (blow.victim === "orchestrator" && blow.how === "pause") isStill = false;
    await release();
  }
  await release();
  await Promise.all(over);
  return met;
}

async function standsStill(harbour: Journey["harbour"]): Promise<boolean> {
  const orchestrator = await harbour.processOf("orchestrator");
  return orchestrator !== null && (await readStat(orchestrator.pid))?.state === "T";
}

/** P4: what moved has a receipt, and nobody chose to lose anything. */
const findUnsaid = ({ state, receipt, possibleLoss }: Operation): readonly string[] =>
  state === "committed" && (receipt === null || possibleLoss)
    ? [`it committed with ${receipt === null ? "no receipt" : "a possible loss"}`]
    : [];

async function startWhereNothingLives({ harbour }: Journey): Promise<boolean> {
  for (let tries = 0; (await livingPlacements(harbour)).length === 0; tries += 1) {
    if (tries === startsByHand) throw new Error("nothing serves, and it cannot be started");
    const started = await runOperation(harbour.client, { kind: "start", application });
    await goOnUntilItEnds(harbour.client, started);
    if (started.state === "committed") return true;
  }
  return false;
}
