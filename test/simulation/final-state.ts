import { sameRun } from "@baton/protocol";
import { type Lease, leaseKey } from "@baton/storage";
import type { Database, OperationRow } from "./database.ts";
import { prefix } from "./names.ts";
import type { Site } from "./site.ts";
import type { SimulatedStore } from "./store.ts";

/** Where the application is to be after an operation. */
function aimOf({ kind, source, target, wasServing, end }: OperationRow) {
  const isDone = end?.state === "committed";
  if (kind === "start") return { placement: target, isServing: isDone };
  if (kind === "stop") return { placement: source, isServing: !isDone };
  if (kind === "delete") return { placement: isDone ? null : source, isServing: !isDone && wasServing };
  const placement = isDone ? target : source;
  return { placement, isServing: placement !== null };
}

/** The promise that the end of the last operation breaks, long after everything was well again; null: none. */
export function finalBreach(world: {
  readonly database: Database;
  readonly store: SimulatedStore;
  readonly siteOfPlacement: (placement: string) => Site;
}): string | null {
  const { operations, placement, highestEpoch } = world.database.tables;
  const last = operations.at(-1);
  if (last === undefined) return "P3: nothing was begun";
  if (last.end === null)
    return last.halt === null || last.halt.reason === ""
      ? "P3: no end is recorded, and no reason to halt"
      : null;
  const object = world.store.objects[leaseKey(prefix)];
  const lease = object === undefined ? null : (JSON.parse(Buffer.from(object.body).toString()) as Lease);
  const find = (id: string) => world.siteOfPlacement(id).find(id);
  const aim = aimOf(last);
  const what = `${last.kind} ended ${last.end.state}, and`;
  if ((lease?.epoch ?? 0) > highestEpoch) return `rule 8: ${what} the lease is newer than the records`;
  if (placement !== aim.placement) return `P3: ${what} the records name ${placement}`;
  const made = new Set(operations.flatMap(({ target }) => target ?? []));
  const canWrite = (id: string): boolean =>
    find(id)?.runs.some(
      ({ isAlive, epoch }) => isAlive && !world.store.isDisabled({ placement: id, epoch }),
    ) === true;
  for (const id of made)
    if ((id !== aim.placement || !aim.isServing) && canWrite(id)) return `P1: ${what} ${id} can still write`;
  if (aim.placement === null) return null;
  const there = find(aim.placement);
  if (there === null) return `P3: ${what} ${aim.placement} is gone`;
  if (!aim.isServing) return null;
  const run = there.runs.at(-1);
  // A child that its stop left behind serves nobody.
  const runs = run?.isAlive === true && run.exit === null;
  if (!runs) return there.wasKilled ? null : `P3: ${what} ${aim.placement} does not run`;
  if (!run.isOpen) return `P3: ${what} ${aim.placement} lets no client in`;
  if (lease?.holder !== aim.placement || !sameRun(lease.run, run.run))
    return `P1: ${what} the lease does not name it`;
  return null;
}
