import {
  type Machine,
  connect,
  createMachine,
  createRandom,
  createScheduler,
  createSights as noSights,
} from "@baton/storage/simulation";
import { createAsking } from "./asking.ts";
import { createDatabase } from "./database.ts";
import { disturb } from "./disturb.ts";
import { finalBreach } from "./final-state.ts";
import { siteOf, sites } from "./names.ts";
import { BrokenPromise, createOracle } from "./oracle.ts";
import { takeReceipt } from "./operation-progress.ts";
import { nextWish, startOrchestrator } from "./orchestrator.ts";
import type { ChangePorts } from "./orchestrator-deps.ts";
import { createPerson } from "./person.ts";
import { type Plan, healedAtMs, usualManners } from "./plan.ts";
import { createSights, type Sights } from "./sights.ts";
import { type Site, createSite } from "./site.ts";
import { type SimulatedStore, createStore } from "./store.ts";

/** Where somebody could have built it otherwise; nothing of it is what this project does. */
export interface Variant {
  readonly changePorts?: ChangePorts | undefined;
  /** How long after it was acknowledged a write is on the disk; 0, if not given: before. */
  readonly syncMs?: Partial<Record<"store" | "database" | "agents", number>> | undefined;
}

export interface SimulationResult {
  /** The promise that was broken, or null. */
  readonly broken: string | null;
  readonly events: number;
  readonly sights: Sights["counts"];
  /** What happened, for people. */
  readonly story: readonly string[];
  /** Every event; empty unless asked for. */
  readonly trace: readonly string[];
}

/** Everything must have ended by then: hours of deadlines after the last disturbance. */
const longestMs = healedAtMs + 4 * 3_600_000;
/** What is still under way arrives, and must not matter any more. */
const quietMs = 60_000;
const mostEvents = 200_000;

/** Whole operations in one small world, from its plan alone: two sites, a store, a database, one or two orchestrators. */
export async function simulate(
  plan: Plan,
  { changePorts = (ports) => ports, syncMs = {} }: Variant = {},
  { isTraced = false }: { readonly isTraced?: boolean } = {},
): Promise<SimulationResult> {
  const random = createRandom(plan.seed ^ 0x5ee_d5ee);
  const scheduler = createScheduler({ isTraced, traceLength: Infinity });
  const sights = createSights();
  const story: string[] = [];
  const note = (line: string): void => {
    story.push(`${String(scheduler.nowMs()).padStart(8)} ms  ${line}`);
    scheduler.note(line);
  };
  const isCalm = (): boolean =>
    scheduler.nowMs() >= healedAtMs ||
    (plan.beginsCalm && (database.tables.operations[0]?.end ?? null) === null);
  const cuts = new Set<string>();
  const isCut = (one: string, other: string): boolean =>
    cuts.has(`${siteOf(one)} ${siteOf(other)}`) || cuts.has(`${siteOf(other)} ${siteOf(one)}`);
  const fine = { unreachable: 0, lost: 0, answerLost: 0, failed: 0, conflict: 0, duplicated: 0, late: 0 };
  const weatherOf = (weather: Plan["weather"]): Plan["weather"] =>
    Object.defineProperties(
      {},
      Object.fromEntries(
        Object.entries(weather).map(([name, value]) => [name, { get: () => (isCalm() ? 0 : value) }]),
      ),
    ) as Plan["weather"];
  const weather = weatherOf({ ...fine, ...plan.weather });
  const net = { scheduler, random, isCut, sights: noSights(), weather };
  /** Data is bounded in how late it can come; the lease is not. */
  const dataNet = { ...net, weather: weatherOf({ ...fine, ...plan.weather, late: 0 }) };
  const jitter = (ms: number | undefined) => (): number => (ms === undefined ? 0 : random.between(1, ms));

  const database = createDatabase({ scheduler, random, syncMs: jitter(syncMs.database) });
  const oracle = createOracle({ store: () => store, database, sights });
  const store: SimulatedStore = createStore({
    scheduler,
    random,
    syncMs: jitter(syncMs.store),
    onWrite: (key, body, by) => {
      if (by === null && key.endsWith("lease.json")) noteLease(body);
      oracle.wrote(key, body, by);
    },
  });
  let noted = "";
  const noteLease = (body: string): void => {
    const { epoch, state, holder } = JSON.parse(body) as { epoch: number; state: string; holder: string };
    const line = `the lease: epoch ${epoch}, ${state}, ${holder}`;
    if (line !== noted) note(line);
    noted = line;
  };
  const storeApi = createMachine({ name: "store", scheduler, main: () => {} });
  storeApi.start();
  const asking = createAsking(net);
  let nonces = 0;
  let entries = 0;
  const orchestrators: Machine[] = [];
  const person = createPerson({
    scheduler,
    random,
    database,
    oracle,
    sights,
    note,
    decisions: plan.decisions,
  });

  const numberOf = (placement: string): number => Number(placement.slice(3));
  const all: readonly Site[] = sites.map((name) =>
    createSite({
      name,
      scheduler,
      random,
      oracle,
      sights,
      note,
      hasFence: plan.hasFence,
      onRefused: plan.onRefused,
      agentSyncMs: jitter(syncMs.agents),
      newEntry: () => (entries += 1),
      mannersOf: (placement) => plan.manners[numberOf(placement) - 1] ?? usualManners,
      controlStore: (machine) => connect({ ...net, machine, store: store.control }),
      dataStore: (machine, key) => connect({ ...dataNet, machine, store: store.data(key) }),
      confirm: async (from, receipt) => {
        const to = random.pick(orchestrators);
        const take = (): Promise<boolean> => takeReceipt(database, to, receipt);
        return (await asking(from, to, "confirm", 5_000, take))?.value ?? false;
      },
    }),
  );
  /** Deployed on the first site; each move goes to the other one than its source's. */
  const placedOn = new Map<string, Site>();
  const siteOfPlacement = (placement: string): Site => {
    const known = placedOn.get(placement);
    if (known !== undefined) return known;
    const { source } = database.tables.operations.find(({ target }) => target === placement) ?? {
      source: null,
    };
    const from = source === null ? all.at(-1) : siteOfPlacement(source);
    const site = all.find((one) => one !== from) as Site;
    placedOn.set(placement, site);
    return site;
  };
  for (let number = 1; number <= plan.orchestrators; number += 1) {
    const machine: Machine = createMachine({
      name: `orchestrator-${number}`,
      scheduler,
      main: () =>
        startOrchestrator({
          machine,
          database,
          scheduler,
          random,
          oracle,
          sights,
          note,
          controlStore: connect({ ...net, machine, store: store.control }),
          store,
          storeApi,
          asking,
          siteOfPlacement,
          hasFence: plan.hasFence,
          wishes: plan.wishes,
          onHalt: (operation) => person.told(operation),
          onRecord: (operation, phase) => recorded(operation, phase),
          newNonce: () => `nonce-${(nonces += 1)}`,
          changePorts,
        }),
    });
    orchestrators.push(machine);
    machine.start();
  }
  const recorded = disturb({
    plan,
    scheduler,
    random,
    sights,
    note,
    cuts,
    sites: all,
    orchestrators,
    database,
    store,
    oracle,
    person,
  });

  let endedAtMs: number | null = null;
  let isOver = false;
  const isDone = (): boolean => {
    const last = database.tables.operations.at(-1);
    if (last === undefined) return false;
    return last.end === null
      ? last.halt !== null && person.isDone
      : nextWish(database.tables, plan.wishes) === null;
  };
  class Over extends Error {}
  const check = (): void => {
    oracle.check();
    if (!isDone()) endedAtMs = null;
    else endedAtMs ??= scheduler.nowMs();
    const now = scheduler.nowMs();
    if (endedAtMs !== null && now > Math.max(endedAtMs, healedAtMs) + quietMs) throw new Over();
    if (now > longestMs)
      throw new BrokenPromise("P3: an operation has not ended hours after everything was well");
  };
  let events = 0;
  let broken: string | null = null;
  try {
    events = await scheduler.run(mostEvents, () => {
      events += 1;
      check();
    });
    broken = `P3: nothing had ended after ${mostEvents} events`;
  } catch (error) {
    if (error instanceof BrokenPromise) broken = error.message;
    else if (error instanceof Over) isOver = true;
    else throw error;
  }
  if (isOver) broken = finalBreach({ database, store, siteOfPlacement });
  for (const { kind, end } of database.tables.operations) {
    const sight = `${kind} ${end?.state}`;
    if (sight in sights.counts) sights.see(sight as keyof Sights["counts"]);
  }
  return { broken, events, sights: sights.counts, story, trace: scheduler.trace };
}
