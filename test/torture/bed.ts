import { rm } from "node:fs/promises";
import { join } from "node:path";
import { ledgerProgram } from "@baton/example-ledger/demo";
import { hookSchema, parseAs } from "@baton/protocol";
import { type Journey, openJourney } from "../e2e/journey.ts";

export interface Bed {
  readonly journey: Journey;
  /** Plants a fault, to happen once. One that is planted already costs no restart of the orchestrator. */
  readonly plant: (fault: string) => Promise<void>;
  /** How long orchestrator and store are away from now on when they die. */
  readonly away: (ms: number) => void;
}

/** @param acknowledge "in-memory" is a ledger that a kill makes lose what it acknowledged. */
export async function openBed(acknowledge: "durable" | "in-memory" = "durable"): Promise<Bed> {
  let awayMs = 0;
  const journey = await openJourney(
    {
      workload: { command: [process.execPath, ledgerProgram], environment: { ACKNOWLEDGE: acknowledge } },
      hook: parseAs(hookSchema, { graceMs: 5_000 }, "the hook"),
      readiness: { path: "/readyz", timeoutMs: 15_000 },
    },
    {},
    // Each entry is an object then, and whatever starts reads them all.
    { entriesPerSecond: 25, pauseMs: () => awayMs },
  );
  const { harbour } = journey;
  let planted: string | undefined;
  return {
    journey,
    async plant(fault) {
      if (fault === planted)
        await rm(join(harbour.directory, "orchestrator", "fault-happened"), { force: true });
      else await harbour.restartOrchestrator({ fault });
      planted = fault;
    },
    away: (ms) => void (awayMs = ms),
  };
}
