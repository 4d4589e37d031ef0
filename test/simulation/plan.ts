import type { StopPolicy } from "@baton/protocol";
import { type Random, type Weather, createRandom } from "@baton/storage/simulation";
import type { ApplicationManners } from "./application.ts";
import { sites } from "./names.ts";
import type { Wish } from "./wish.ts";

/** One thing that happens from outside: so long after the beginning, or after a phase of an operation was recorded, which may never be. */
export interface Disturbance {
  readonly after: { readonly operation: number; readonly phase: string } | null;
  readonly atMs: number;
  readonly kind:
    | "crash"
    | "container crash"
    | "power cut"
    | "pause"
    | "suspension"
    | "clock jump"
    | "death of the application"
    | "blind witness"
    | "partition"
    | "abort";
  readonly where: string;
  /** The other side of a partition. */
  readonly and: string | null;
  readonly forMs: number;
}

/** Everything that a run is made from, so that it can be cut down to what a failure needs; how chance falls comes from the seed alone. */
export interface Plan {
  readonly seed: number;
  readonly weather: Weather;
  /** Until the first operation has ended the weather is fine. */
  readonly beginsCalm: boolean;
  readonly hasFence: boolean;
  readonly onRefused: "serve" | "hold";
  readonly orchestrators: number;
  /** The first one deploys. */
  readonly wishes: readonly Wish[];
  /** How often a person decides about a halted operation. */
  readonly decisions: number;
  /** Of the placements, in the order in which they are made. */
  readonly manners: readonly ApplicationManners[];
  readonly disturbances: readonly Disturbance[];
}

export const usualManners: ApplicationManners = { stop: "graceful", start: "well", canary: "well" };
/** From then on nothing goes wrong any more. */
export const healedAtMs = 180_000;
/** The longest ends before that. */
export const lastBeginningMs = 65_000;
/** Seldom before the first deploy: of an application that is nowhere there is little to learn. */
const firstDisturbanceMs = 2_000;
const lastDisturbanceMs = 60_000;

export function planOf(seed: number): Plan {
  const random = createRandom(seed);
  const seldom = <T>(usual: T, others: readonly T[]): T => (random.chance(0.1) ? random.pick(others) : usual);
  const wishes = [wish("deploy"), ...Array.from({ length: random.between(1, 3) }, () => wishOf(random))];
  return {
    seed,
    weather: weatherOf(random),
    beginsCalm: random.chance(0.8),
    hasFence: random.chance(0.4),
    onRefused: random.pick(["serve", "hold"]),
    orchestrators: random.between(1, 2),
    wishes,
    decisions: random.between(0, 3),
    manners: Array.from({ length: wishes.length }, (_, index) => ({
      stop: seldom(usualManners.stop, ["crashes", "refuses", "leaves a child"]),
      start: index === 0 ? usualManners.start : seldom(usualManners.start, ["exits", "never ready"]),
      canary: index === 0 ? usualManners.canary : seldom(usualManners.canary, ["fails"]),
    })),
    disturbances: Array.from({ length: random.below(9) }, () => disturbanceOf(random)).toSorted(
      (one, other) => one.atMs - other.atMs,
    ),
  };
}

const usualPolicy: StopPolicy = { strategy: "give-up", attempts: 1, pauseMs: 1_000 };
const wish = (kind: Wish["kind"]): Wish => ({ kind, isCold: false, stop: usualPolicy });

function wishOf(random: Random): Wish {
  const kind = random.pick(["migrate", "migrate", "migrate", "stop", "start", "delete"] as const);
  const strategy = random.pick(["give-up", "force", "halt", "failover"] as const);
  const stop = { strategy, attempts: random.pick([1, 1, 2]), pauseMs: 1_000 };
  return { kind, isCold: random.chance(0.3), stop };
}

function weatherOf(random: Random): Weather {
  const rough = random.pick([0, 0, 0.5, 1, 2]);
  const upTo = (most: number): number => (random.below(1_000) / 1_000) * most * rough;
  return {
    unreachable: upTo(0.03),
    lost: upTo(0.04),
    answerLost: upTo(0.05),
    failed: upTo(0.05),
    conflict: upTo(0.03),
    duplicated: upTo(0.1),
    late: upTo(0.12),
  };
}

/** Of a migration; others have some of them. */
const phases = [
  "preflight",
  "stop.intend",
  "stop",
  "stop.settle",
  "fence",
  "handOver.intend",
  "handOver",
  "start",
  "verify",
  "commit",
] as const;

function disturbanceOf(random: Random): Disturbance {
  const orchestrator = (): string => `orchestrator-${random.between(1, 2)}`;
  const site = (): string => random.pick(sites);
  const after = random.chance(0.5) ? { operation: random.between(2, 3), phase: random.pick(phases) } : null;
  const atMs = after === null ? random.between(firstDisturbanceMs, lastDisturbanceMs) : random.below(2_000);
  // The longest are longer than everything that an operation waits for.
  const forMs = random.pick([
    random.between(50, 1_500),
    random.between(2_000, 40_000),
    random.between(40_000, 110_000),
  ]);
  const make = (kind: Disturbance["kind"], where: string, and: string | null = null): Disturbance => ({
    after,
    atMs,
    kind,
    where,
    and,
    forMs,
  });
  const choices: readonly (() => Disturbance)[] = [
    () => make("crash", orchestrator()),
    () => make("crash", site()),
    () => make("container crash", site()),
    () => make("power cut", random.pick([...sites, "store", "database"])),
    () => make("pause", random.pick([orchestrator(), site()])),
    () => make("suspension", random.pick([orchestrator(), site()])),
    () => make("clock jump", random.pick([orchestrator(), site()])),
    () => make("death of the application", site()),
    () => make("blind witness", site()),
    () => make("partition", orchestrator(), random.pick([...sites, "store"])),
    () => make("partition", site(), "store"),
    () => make("abort", "the operation"),
  ];
  return random.pick(choices)();
}

export const whenInWords = ({ after, atMs }: Disturbance): string =>
  after === null ? `at ${atMs} ms` : `${atMs} ms after ${after.phase} of operation ${after.operation}`;
export const inWords = ({ kind, where, and, forMs }: Disturbance): string =>
  `${kind} of ${where}${and === null ? "" : ` from ${and}`} for ${forMs} ms`;
