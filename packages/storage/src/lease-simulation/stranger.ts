import { isAppError } from "@baton/protocol";
import { create, operation } from "../fixtures/lease-samples.ts";
import type { Lease, LeaseChange, WriteStamp } from "../lease.ts";
import { changeLease, readLease } from "../lease-write.ts";
import type { ObjectStore } from "../object-store.port.ts";
import type { Machine } from "./machine.ts";
import { BrokenPromise, type Oracle } from "./oracle.ts";
import type { Random } from "./random.ts";
import type { Sights } from "./sights.ts";

const { prefix } = create;
const owner = "stranger";

interface StrangerDeps {
  readonly machine: Machine;
  readonly store: ObjectStore;
  readonly stamp: () => WriteStamp;
  readonly random: Random;
  readonly oracle: Oracle;
  readonly sights: Sights;
}

/** Another installation that was given the same prefix: tries everything, and gets nothing. */
export function startStranger(deps: StrangerDeps): void {
  run(deps).catch((error: unknown) => deps.oracle.died(deps.machine.name, error));
}

async function run({ machine, store, stamp, random, sights }: StrangerDeps): Promise<void> {
  const { clock } = machine;
  for (;;) {
    await clock.sleep(random.between(5_000, 20_000));
    try {
      const view = await readLease({ store, prefix, timeoutMs: 1_000 });
      if (view === null) continue;
      const change = random.pick(wishes(view.lease));
      const known = random.chance(0.5) ? view : null;
      await changeLease({ store, prefix, change, known, deadlineMs: 3_000, clock, stamp });
      throw new BrokenPromise(`a stranger could ${change.kind} the lease`);
    } catch (error) {
      if (!isAppError(error)) throw error;
      if (error.code === "lease-foreign") sights.see("foreign refusal");
    }
  }
}

function wishes({ holder, epoch, run, grant }: Lease): readonly LeaseChange[] {
  const from = { holder, epoch, run };
  const agent = { owner, holder, epoch, run: run ?? { placement: holder, instance: "life1", counter: 1 } };
  return [
    { ...create, owner },
    { kind: "fence", owner, from, operation },
    { kind: "grant", owner, from, holder, grant: "theirs", operation },
    { kind: "run", ...agent, grant: grant ?? "theirs" },
    { kind: "stop", ...agent },
    { kind: "renew", ...agent },
  ];
}
