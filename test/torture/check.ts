/** Whether the promises hold, by what the writer, the store and /proc say; nobody who took part is asked. */
import { join } from "node:path";
import { openProcessCluster } from "@baton/clusters";
import { type Harbour, clusters } from "@baton/example-ledger/demo";
import type { Journey } from "../e2e/journey.ts";
import { readLeaseWrites } from "../e2e/receivers.ts";
import { pollUntil } from "./poll-until.ts";

/** What is acknowledged too early is in the bucket after its ledger's next flush, or never. */
const arrivalMs = 5_000;
const lookMs = 10_000;

/** Placements whose application lives, as their clusters see it from outside; those that nobody can tell count too. */
export async function livingPlacements({ directory }: Harbour): Promise<readonly string[]> {
  const found = await Promise.all(
    clusters.map(async (name) => {
      // It looks only, so nothing starts an agent.
      const cluster = openProcessCluster({ name, directory: join(directory, name), agentCommand: ["false"] });
      const placements = await cluster.list({ timeoutMs: lookMs });
      const seen = await Promise.all(
        placements.map(async (placement) => {
          const { state } = await cluster.witness({ placement, timeoutMs: lookMs });
          return state === "terminated" ? [] : [`${placement} on ${name} (${state})`];
        }),
      );
      return seen.flat();
    }),
  );
  return found.flat();
}

/** In words; empty when every promise holds. */
export async function findBroken(journey: Journey): Promise<readonly string[]> {
  const { harbour } = journey;
  let arrival = await journey.inspect();
  await pollUntil(arrivalMs, async () => {
    if (arrival.lost.length > 0) arrival = await journey.inspect();
    return arrival.lost.length === 0;
  });
  const living = await livingPlacements(harbour);
  const counts = {
    "acknowledged entries are lost": arrival.lost.length,
    "entries are there twice": arrival.duplicated.length,
    "writes were not the one writer's": arrival.overlapping,
    "segments were written twice": arrival.rewrittenSegments.length,
  };
  return [
    ...Object.entries(counts).flatMap(([what, count]) => (count === 0 ? [] : [`${count} ${what}`])),
    ...(living.length === 1 ? [] : [`${living.length} placements live: ${living.join(", ")}`]),
    ...(await findLeaseFaults(harbour)),
  ];
}

/** Epochs only grow, and each has one holder and one run that began. */
async function findLeaseFaults(harbour: Harbour): Promise<readonly string[]> {
  const faults: string[] = [];
  const holders = new Map<number, string>();
  let last = 0;
  for (const { epoch, holder } of await readLeaseWrites(harbour)) {
    if (epoch < last) faults.push(`the lease went back from epoch ${last} to ${epoch}`);
    if ((holders.get(epoch) ?? holder) !== holder) faults.push(`epoch ${epoch} had two holders`);
    holders.set(epoch, holder);
    last = epoch;
  }
  return faults;
}
