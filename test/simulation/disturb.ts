import type { Machine, Random, Scheduler } from "@baton/storage/simulation";
import type { Database } from "./database.ts";
import type { Oracle } from "./oracle.ts";
import type { Person } from "./person.ts";
import { operationId } from "./names.ts";
import { type Disturbance, type Plan, inWords, lastBeginningMs } from "./plan.ts";
import type { Sights } from "./sights.ts";
import type { Site } from "./site.ts";
import type { SimulatedStore } from "./store.ts";

interface Disturbed {
  readonly plan: Plan;
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly sights: Sights;
  readonly note: (line: string) => void;
  /** Pairs that do not reach each other. */
  readonly cuts: Set<string>;
  readonly sites: readonly Site[];
  readonly orchestrators: readonly Machine[];
  readonly database: Database;
  readonly store: SimulatedStore;
  readonly oracle: Oracle;
  readonly person: Person;
}

/** Lets everything happen that the plan says. @returns to be told of every phase that is recorded */
export function disturb(world: Disturbed): (operation: string, phase: string) => void {
  const begin = (disturbance: Disturbance): void => {
    // A step that is recorded late must not bring new trouble when all is to be well.
    if (world.scheduler.nowMs() > lastBeginningMs) return;
    world.scheduler.after(disturbance.atMs, inWords(disturbance), () => {
      world.note(`-- ${inWords(disturbance)}`);
      happen(world, disturbance);
    });
  };
  const waiting = new Set(world.plan.disturbances.filter(({ after }) => after !== null));
  for (const disturbance of world.plan.disturbances) if (!waiting.has(disturbance)) begin(disturbance);
  return (operation, phase) => {
    for (const disturbance of waiting) {
      const { after } = disturbance;
      if (after?.phase !== phase || operationId(after.operation) !== operation) continue;
      waiting.delete(disturbance);
      begin(disturbance);
    }
  };
}

const hourMs = 3_600_000;

function happen(world: Disturbed, { kind, where, and, forMs }: Disturbance): void {
  const { scheduler, random, sights, cuts, database, store, oracle } = world;
  const site = world.sites.find(({ name }) => name === where);
  const machine = world.orchestrators.find(({ name }) => name === where);
  const freeze = (how: "pause" | "suspend"): void => {
    machine?.freeze(how, forMs);
    site?.freeze(how, forMs);
  };
  const cut = (one: string, other: string): void => {
    const pair = `${one} ${other}`;
    cuts.add(pair);
    scheduler.after(forMs, `${pair} reach each other again`, () => cuts.delete(pair));
  };
  switch (kind) {
    case "crash":
      machine?.crash(forMs);
      site?.crash("agents", forMs);
      return;
    case "container crash":
      return site?.crash("containers", forMs);
    case "power cut":
      sights.see("power cut");
      site?.crash("power", forMs);
      if (where === "database") {
        database.powerCut();
        for (const one of world.orchestrators) one.crash(forMs);
      }
      if (where === "store") {
        store.powerCut();
        oracle.storeLost();
        for (const one of [...world.sites, ...world.orchestrators]) cut(one.name, "store");
      }
      return;
    case "pause":
      return freeze("pause");
    case "suspension":
      return freeze("suspend");
    case "clock jump": {
      const byMs = random.between(-hourMs, hourMs);
      machine?.jumpWallClock(byMs);
      return site?.jumpClocks(byMs);
    }
    case "death of the application":
      return site?.killApplications();
    case "blind witness":
      if (site === undefined) return;
      site.isBlind = true;
      scheduler.after(forMs, "the witness sees again", () => {
        site.isBlind = false;
      });
      return;
    case "abort":
      return world.person.abort();
    case "partition":
      sights.see("partition");
      cut(where, and ?? "");
  }
}
