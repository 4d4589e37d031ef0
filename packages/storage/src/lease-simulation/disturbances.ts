import type { Machine } from "./machine.ts";
import type { Random } from "./random.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Sights } from "./sights.ts";

/** What happens to machines: pauses longer than any deadline, suspensions, clocks that jump, crashes; for ever, at moments the seed chooses. */
export function disturb(params: {
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly sights: Sights;
  readonly machines: readonly Machine[];
  /** How many of its writes the store took that the process does not know of. */
  readonly unheard: (name: string) => number;
  readonly isAgent: (name: string) => boolean;
  /** The application's processes of a placement die. */
  readonly endProcesses: (placement: string) => void;
  /** Its agent gets to know. */
  readonly exited: (placement: string) => void;
}): void {
  const { scheduler, random, sights, machines, unheard, isAgent, endProcesses, exited } = params;
  const hourMs = 3_600_000;
  const rest = random.pick([1_500, 4_000, 12_000]);
  const frozenMs = (): number => random.pick([random.between(50, 900), random.between(2_000, 90_000)]);

  const acts: readonly ((machine: Machine) => void)[] = [
    (machine) => machine.freeze("pause", frozenMs()),
    (machine) => {
      machine.freeze("suspend", frozenMs());
      sights.see("suspension");
    },
    (machine) => {
      machine.jumpWallClock(random.between(-5 * hourMs, 5 * hourMs));
      sights.see("wall clock jump");
    },
    (machine) => {
      if (unheard(machine.name) > 0) sights.see("crash between write and answer");
      machine.crash(random.between(10, 5_000));
      // The whole container, or the agent alone.
      if (isAgent(machine.name) && random.chance(0.5)) endProcesses(machine.name);
    },
    (machine) => {
      if (!isAgent(machine.name)) return;
      endProcesses(machine.name);
      exited(machine.name);
    },
  ];
  const next = (): void => {
    scheduler.after(random.between(rest / 2, rest * 2), "a disturbance", () => {
      const machine = random.pick(machines);
      const act = random.below(acts.length);
      scheduler.note(
        `${["pause", "suspension", "clock jump", "crash", "exit"][act] ?? ""} of ${machine.name}`,
      );
      acts[act]?.(machine);
      next();
    });
  };
  next();
}
