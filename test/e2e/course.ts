/** The ways a migration may go, as its receivers see it; everything else is a repeated, a missing or a foreign effect. */
import type { Lease } from "@baton/storage";
import type { ReceivedEffect } from "./receivers.ts";

/** What was received in one migration: each line "<effect> <epoch, from the one before> <side>". */
export interface Traces {
  readonly effects: readonly string[];
  readonly leases: readonly string[];
}

export type CourseName = keyof typeof courses;

const stopped = ["receipt +0 source", "signal +0 source"];
const granted = ["stopped +0 source", "granted +1 target"];

/** Effects in alphabetical order, for agents do not share a clock with each other; lease writes in commit order. */
export const courses = {
  moved: {
    effects: [...stopped, "exec +1 target"],
    leases: [...granted, "running +1 target"],
  },
  "nothing was touched": { effects: [], leases: [] },
  "taken back after the stop": {
    effects: [...stopped, "exec +1 source"],
    leases: ["stopped +0 source", "granted +1 source", "running +1 source"],
  },
  "taken back after the grant": {
    effects: [...stopped, "burn +1 target", "receipt +1 target", "exec +2 source"],
    leases: [...granted, "stopped +1 target", "granted +2 source", "running +2 source"],
  },
  "taken back after the start": {
    effects: [...stopped, "exec +1 target", "receipt +1 target", "signal +1 target", "exec +2 source"],
    leases: [...granted, "running +1 target", "stopped +1 target", "granted +2 source", "running +2 source"],
  },
  "taken back after the target ended by itself": {
    effects: [...stopped, "exec +1 target", "receipt +1 target", "exec +2 source"],
    leases: [...granted, "running +1 target", "stopped +1 target", "granted +2 source", "running +2 source"],
  },
} as const satisfies Record<string, Traces>;

export interface Sides {
  readonly source: string;
  readonly target: string;
  readonly epochBefore: number;
}

export function traceOf(sides: Sides, effects: readonly ReceivedEffect[], leases: readonly Lease[]): Traces {
  const line = (what: string, epoch: number, placement: string): string => {
    const side = placement === sides.source ? "source" : placement === sides.target ? "target" : placement;
    return `${what} +${epoch - sides.epochBefore} ${side}`;
  };
  return {
    effects: effects.map(({ effect, epoch, placement }) => line(effect, epoch, placement)).toSorted(),
    leases: leases.map(({ state, epoch, holder }) => line(state, epoch, holder)),
  };
}

/** The course whose traces these are, exactly; null when there is none. */
export function courseOf(traces: Traces): CourseName | null {
  const same = (expected: readonly string[], seen: readonly string[]) =>
    expected.join("\n") === seen.join("\n");
  const found = Object.entries<Traces>(courses).find(
    ([, { effects, leases }]) => same(effects.toSorted(), traces.effects) && same(leases, traces.leases),
  );
  return (found?.[0] as CourseName | undefined) ?? null;
}

/** By how much a course raises the application's epoch. */
export const epochsRaised = (course: CourseName): number =>
  Math.max(0, ...courses[course].leases.map((line) => Number(/\+(\d)/.exec(line)?.[1])));
