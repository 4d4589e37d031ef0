import { harbor, island } from "../fixtures/lease-samples.ts";
import type { WriteStamp } from "../lease.ts";
import type { ObjectStore } from "../object-store.port.ts";
import { type Agent, type Answer, type Command, emptyJournal, startAgent } from "./agent.ts";
import { type Behaviour, sound } from "./behaviour.ts";
import { createDatabase } from "./database.ts";
import { disturb } from "./disturbances.ts";
import { type Machine, createMachine } from "./machine.ts";
import { type Weather, ask, connect } from "./network.ts";
import { startEcho } from "./echo.ts";
import { BrokenPromise, createOracle } from "./oracle.ts";
import { startOrchestrator } from "./orchestrator.ts";
import { type Random, createRandom } from "./random.ts";
import { createScheduler } from "./scheduler.ts";
import { type Sights, createSights } from "./sights.ts";
import { type StoreVariant, honest } from "./stores.ts";
import { startStranger } from "./stranger.ts";

export interface SimulationParams {
  readonly seed: number;
  readonly events: number;
  readonly behaviour?: Partial<Behaviour> | undefined;
  readonly store?: StoreVariant | undefined;
  readonly isTraced?: boolean | undefined;
}

export interface SimulationResult {
  /** The promise that was broken, or null. */
  readonly broken: string | null;
  readonly events: number;
  readonly sights: Sights["counts"];
  readonly trace: readonly string[];
}

const quay = "pl-00000000000000000qvay";

/** One small world, from its seed alone: agents, orchestrators and a stranger on one bucket, in whatever weather the seed gives. */
export async function simulate(params: SimulationParams): Promise<SimulationResult> {
  const { seed, events, isTraced = false } = params;
  const behaviour = { ...sound, ...params.behaviour };
  const random = createRandom(seed);
  const scheduler = createScheduler({ isTraced });
  const { bucket, store } = (params.store ?? honest)({ scheduler, random });
  const sights = createSights();
  const net = { scheduler, random, sights, weather: weatherOf(random) };
  const machines: Machine[] = [];
  const oracle = createOracle({ bucket, machines: () => machines, sights });
  const agents = new Map<string, { readonly machine: Machine; readonly now: () => Agent | null }>();
  const unheard = new Map<string, () => number>();
  const running: (() => void)[] = [];

  /** A machine whose process is begun anew, with a connection of its own, in each of its lives. */
  const place = (
    name: string,
    begin: (life: { machine: Machine; store: ObjectStore; stamp: () => WriteStamp }) => void,
  ): Machine => {
    const machine = createMachine({
      name,
      scheduler,
      main: () => {
        let count = 0;
        const connection = connect({ ...net, machine, store });
        unheard.set(name, () => connection.unheard.size);
        const stamp = (): WriteStamp => ({
          nonce: behaviour.nonce(machine, (count += 1)),
          at: new Date(machine.wallMs()).toISOString(),
        });
        begin({ machine, store: connection, stamp });
      },
    });
    machines.push(machine);
    running.push(() => machine.start());
    return machine;
  };

  const placements = [harbor, island, quay].slice(0, random.between(2, 3));
  for (const placement of placements) {
    const journal = emptyJournal();
    const onLeaseLost = random.pick(["keep", "stop"] as const);
    let agent: Agent | null = null;
    const machine = place(placement, (life) => {
      agent = startAgent({ ...life, journal, random, oracle, behaviour, onLeaseLost });
    });
    // Whichever life it is in by then.
    agents.set(placement, { machine, now: () => agent });
  }
  const orchestrators = ["orchestrator-1", "orchestrator-2"].slice(0, random.between(1, 2));
  // With a database each they do not even know of each other: then nothing but the lease is between them.
  const shared = random.chance(0.6) ? createDatabase("orchestrator-1") : null;
  let grants = 0;
  for (const name of orchestrators) {
    const database = shared ?? createDatabase(name);
    place(name, (life) =>
      startOrchestrator({
        ...life,
        database,
        random,
        oracle,
        sights,
        behaviour,
        placements,
        newGrant: () => `grant-${(grants += 1)}`,
        command: (placement, command) => tell(life.machine, placement, command),
      }),
    );
  }
  place("echo", (life) => startEcho({ ...life, random, oracle, sights }));
  place("stranger", (life) => startStranger({ ...life, random, oracle, sights }));

  const tell = (from: Machine, placement: string, command: Command): Promise<Answer | null> => {
    const to = agents.get(placement);
    if (to === undefined) throw new Error(`there is no ${placement}`);
    const handle = (reply: (answer: Answer) => void): void => to.now()?.handle(command, reply);
    return ask({ ...net, from, to: to.machine, what: command.kind, timeoutMs: 8_000, handle });
  };

  for (const start of running) start();
  disturb({
    scheduler,
    random,
    sights,
    machines,
    unheard: (name) => unheard.get(name)?.() ?? 0,
    isAgent: (name) => agents.has(name),
    endProcesses: (placement) => oracle.goneFrom(placement),
    exited: (placement) => {
      const place = agents.get(placement);
      place?.machine.deliver(5, "the application ended", () => place.now()?.exited());
    },
  });

  let broken: string | null = null;
  let happened = 0;
  try {
    happened = await scheduler.run(events, () => oracle.check());
  } catch (error) {
    if (!(error instanceof BrokenPromise)) throw error;
    broken = error.message;
  }
  return { broken, events: happened, sights: sights.counts, trace: scheduler.trace };
}

const weatherOf = (random: Random): Weather => {
  const rough = random.pick([0, 0.5, 1, 2, 3]);
  const upTo = (most: number): number => (random.below(1_000) / 1_000) * most * rough;
  return {
    unreachable: upTo(0.05),
    lost: upTo(0.06),
    answerLost: upTo(0.08),
    failed: upTo(0.08),
    conflict: upTo(0.05),
    duplicated: upTo(0.15),
    late: upTo(0.12),
  };
};
