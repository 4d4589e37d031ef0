/** What the receivers counted by themselves (rule 20): the agents, the applications, and the store in its commit order. */
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { readCommitLog, readCommittedBody } from "@baton/dev-store";
import { type ClusterName, type Harbour, bucket, clusters, prefix } from "@baton/example-ledger/demo";
import { parseAs } from "@baton/protocol";
import { type Lease, leaseKey, leaseSchema } from "@baton/storage";

export interface ReceivedEffect {
  readonly effect: "exec" | "signal" | "receipt" | "burn";
  readonly operation: string;
  readonly key: string;
  readonly epoch: number;
  readonly placement: string;
}

/** A placement's directory, in service or removed, with what its agent and its application wrote of their own. */
export interface PlacementTrace {
  readonly placement: string;
  readonly cluster: ClusterName;
  readonly effects: readonly ReceivedEffect[];
  /** Names of the application's events, in their order: "ready", "stopping", "stopped" … */
  readonly applicationEvents: readonly string[];
}

export async function readPlacements({ directory }: Harbour): Promise<readonly PlacementTrace[]> {
  const found: PlacementTrace[] = [];
  for (const cluster of clusters)
    for (const folder of ["placements", "removed"]) {
      const parent = join(directory, cluster, folder);
      for (const placement of await readdir(parent).catch(() => [])) {
        const state = join(parent, placement, "state");
        const effects = await readLines(join(state, "effects.jsonl"));
        const events = await readLines(join(state, "application.log"));
        found.push({
          placement,
          cluster,
          effects: effects.map((line) => ({
            ...(JSON.parse(line) as Omit<ReceivedEffect, "placement">),
            placement,
          })),
          applicationEvents: events.flatMap((line) =>
            line.startsWith("{") ? [(JSON.parse(line) as { event: string }).event] : [],
          ),
        });
      }
    }
  return found;
}

async function readLines(file: string): Promise<readonly string[]> {
  const content = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    // A placement that was never started has neither file.
    if (error.code === "ENOENT") return "";
    throw error;
  });
  return content.split("\n").filter((line) => line !== "");
}

/** Every accepted write of the lease but renewals, in commit order. */
export async function readLeaseWrites({ storeDirectory }: Harbour): Promise<readonly Lease[]> {
  const writes: Lease[] = [];
  let last: Lease | undefined;
  for (const commit of await readCommitLog(storeDirectory)) {
    if (commit.bucket !== bucket || commit.key !== leaseKey(prefix)) continue;
    const lease = parseAs(
      leaseSchema,
      JSON.parse(Buffer.from(await readCommittedBody(storeDirectory, commit)).toString()),
      "the lease",
    );
    // Only a renewal leaves the history as it is.
    if (lease.history.at(-1) === lease.nonce) writes.push(lease);
    else if (last?.state !== "running" || last.epoch !== lease.epoch)
      throw new Error(`commit ${commit.sequence} renews a lease that is not running`);
    last = lease;
  }
  return writes;
}
