import { isAppError } from "@baton/protocol";
import { create } from "../fixtures/lease-samples.ts";
import type { WriteStamp } from "../lease.ts";
import { changeLease } from "../lease-write.ts";
import type { ObjectStore } from "../object-store.port.ts";
import type { Machine } from "./machine.ts";
import type { Oracle } from "./oracle.ts";
import type { Random } from "./random.ts";
import type { Sights } from "./sights.ts";

const { prefix } = create;
const deadlineMs = 3_000;

interface EchoDeps {
  readonly machine: Machine;
  readonly store: ObjectStore;
  readonly stamp: () => WriteStamp;
  readonly random: Random;
  readonly oracle: Oracle;
  readonly sights: Sights;
}

/** Asks again for what others asked for, sooner or later: as whoever wakes up from a pause, or from a backup. */
export function startEcho(deps: EchoDeps): void {
  run(deps).catch((error: unknown) => deps.oracle.died(deps.machine.name, error));
}

async function run({ machine, store, stamp, random, oracle, sights }: EchoDeps): Promise<void> {
  const { clock } = machine;
  for (;;) {
    await clock.sleep(random.between(300, 9_000));
    const change = oracle.asked.at(-1 - random.below(12));
    if (change === undefined) continue;
    try {
      const call = changeLease({ store, prefix, change, deadlineMs, clock, stamp });
      await oracle.watchChange(machine, deadlineMs, change, call);
      sights.see("old change in effect, or done by its echo");
    } catch (error) {
      if (!isAppError(error)) throw error;
      if (error.code !== "storage-unclear") sights.see("old change refused");
    }
  }
}
