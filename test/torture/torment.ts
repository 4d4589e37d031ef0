/** What is done to one migration: whom a blow meets, how, and when. */
import { migrate, migrateCold } from "@baton/migration";
import { type Random, createRandom } from "@baton/storage/simulation";

export const victims = [
  "orchestrator",
  "source agent",
  "target agent",
  "source application",
  "target application",
  "postgres",
  "store",
] as const;
export type Victim = (typeof victims)[number];

export interface Blow {
  readonly victim: Victim;
  /** `kill`: SIGKILL. `pause`: SIGSTOP, and SIGCONT after `pauseMs`. */
  readonly how: "kill" | "pause";
  /** From the step's moment on, or from the blow before; 0 at the first: while the operation stands still there. */
  readonly afterMs: number;
  readonly pauseMs: number;
}

export interface Torment {
  readonly cold: boolean;
  readonly step: string;
  /** Of the step's effect. */
  readonly moment: "before" | "after";
  readonly blows: readonly Blow[];
  /** How long the orchestrator or the store is away when it died. */
  readonly awayMs: number;
}

/** What somebody wants to see alone. */
export interface Wanted {
  readonly victim?: Victim | undefined;
  readonly step?: string | undefined;
  readonly cold?: boolean | undefined;
}

/** Another moment costs a restart of the orchestrator. */
const seedsPerMoment = 10;

export const stepsOf = (cold: boolean): readonly string[] =>
  (cold ? migrateCold : migrate).steps.map(({ name }) => name);

/** Who can be there before a step's effect; that of the steps around it decides the rest. */
function presentAt(step: string, cold: boolean): readonly Victim[] {
  const steps = stepsOf(cold);
  const isAfter = (other: string): boolean => steps.indexOf(step) > steps.indexOf(other);
  return victims.filter((victim) => {
    if (victim === "source application") return !isAfter("stop");
    if (victim === "target agent") return isAfter("prepare");
    return victim !== "target application" || isAfter("start");
  });
}

/** Each victim killed at each step where it is, before the step's effect. */
export function matrix(wanted: Wanted = {}): readonly Torment[] {
  return [false, true]
    .filter((cold) => wanted.cold === undefined || wanted.cold === cold)
    .flatMap((cold) => stepsOf(cold).map((step) => ({ cold, step })))
    .filter(({ step }) => wanted.step === undefined || wanted.step === step)
    .flatMap((where) =>
      presentAt(where.step, where.cold)
        .filter((victim) => wanted.victim === undefined || wanted.victim === victim)
        .map((victim) => ({
          ...where,
          moment: "before" as const,
          blows: [{ victim, how: "kill" as const, afterMs: 0, pauseMs: 0 }],
          awayMs: 300,
        })),
    );
}

/** The same seed gives the same torment; only the machine's own speed differs. */
export function tormentOf(seed: number, wanted: Wanted = {}): Torment {
  const shared = createRandom(Math.floor(seed / seedsPerMoment));
  const step = shared.pick(stepsOf(false));
  const moment = shared.pick(["before", "after"] as const);
  const random = createRandom(seed + 0x7047);
  const cold = random.chance(0.4);
  const first = blowOf(random, random.chance(0.5) ? 0 : 400, presentAt(step, cold));
  const blows = random.chance(0.3) ? [first, blowOf(random, 3_000, victims)] : [first];
  const awayMs = random.chance(0.5) ? 0 : random.between(0, 4_000);
  return {
    cold: wanted.cold ?? cold,
    step: wanted.step ?? step,
    moment,
    blows: wanted.victim === undefined ? blows : [{ ...first, victim: wanted.victim }],
    awayMs,
  };
}

function blowOf(random: Random, withinMs: number, among: readonly Victim[]): Blow {
  const how = random.chance(0.75) ? ("kill" as const) : ("pause" as const);
  return {
    victim: random.pick(among),
    how,
    afterMs: random.between(0, withinMs),
    pauseMs: how === "kill" ? 0 : random.between(50, 8_000),
  };
}

export function inWords({ cold, step, moment, blows, awayMs }: Torment): string {
  const told = blows.map(({ victim, how, afterMs, pauseMs }) => {
    const what = how === "kill" ? "kill" : `pause for ${pauseMs} ms`;
    return `${what} ${victim}${afterMs === 0 ? "" : ` +${afterMs} ms`}`;
  });
  const away = awayMs === 0 ? "" : `, away ${awayMs} ms`;
  return `${cold ? "cold" : "warm"} ${step}:${moment} ${told.join(", then ")}${away}`;
}
