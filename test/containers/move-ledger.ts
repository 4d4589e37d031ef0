import { join } from "node:path";
import {
  checkLedger,
  findOverlaps,
  readLedgerFromStore,
  readRecordFile,
  startWriter,
} from "@baton/example-ledger";
import {
  type ClusterName,
  type Harbour,
  application,
  bucket,
  prefix,
  runOperation,
} from "@baton/example-ledger/demo";
import { expect } from "vitest";
import { until } from "./until.ts";

export interface Move {
  readonly number: number;
  readonly source: string;
  readonly from: ClusterName;
  readonly target: string;
  readonly to: ClusterName;
}

/**
 * Deploys the ledger to the first cluster, moves it to and fro while a writer uses it, with the orchestrator killed in the first move, and deletes it; what
 * was acknowledged is all in the store, once, and no two placements wrote at a time.
 */
export async function moveLedger<Before>(
  harbour: Harbour,
  params: {
    readonly moves: number;
    readonly beforeMove?: (move: Omit<Move, "target">) => Promise<Before>;
    readonly afterMove: (move: Move, before: Before | undefined) => Promise<void>;
  },
): Promise<void> {
  const { client } = harbour;
  const deployed = await runOperation(client, { kind: "deploy", application, to: "harbor-a" });
  expect(deployed).toMatchObject({ state: "committed", reason: null });
  const clusterOf = new Map([[deployed.target, "harbor-a" as ClusterName]]);
  const recordFile = join(harbour.directory, "acknowledged.jsonl");
  const writer = startWriter({
    route: async () => (await client.route(application)).url,
    recordFile,
    ratePerSecond: 50,
  });
  const writes = async (when: string): Promise<void> => {
    const already = writer.acknowledged();
    await until(`entries ${when} the move`, async () => writer.acknowledged() > already + 20);
  };
  try {
    for (let number = 0; number < params.moves; number += 1) {
      const to: ClusterName = number % 2 === 0 ? "harbor-b" : "harbor-a";
      await harbour.restartOrchestrator({ fault: number === 0 ? "kill@migrate.handOver:after" : undefined });
      await writes("before");
      const { placement, cluster } = await client.route(application);
      const planned = { number, source: placement ?? "", from: cluster as ClusterName, to };
      const before = await params.beforeMove?.(planned);
      const moved = await runOperation(client, { kind: "migrate", application, to });
      expect(moved).toMatchObject({ state: "committed", reason: null });
      const target = moved.target ?? "";
      clusterOf.set(target, to);
      await writes("after");
      expect(await client.route(application)).toMatchObject({ cluster: to, placement: target });
      await params.afterMove({ ...planned, target }, before);
    }
  } finally {
    await writer.stop();
  }
  expect(harbour.kills()).toBe(1);
  const { url } = await client.route(application);
  await until("the last entries in the bucket", async () => {
    const stats = (await (await fetch(new URL("/stats", url ?? ""))).json()) as { unflushed: number };
    return stats.unflushed === 0;
  });

  const keyOf = (placement: string): string | undefined => {
    const cluster = clusterOf.get(placement);
    return cluster && harbour.keys[cluster].accessKeyId;
  };
  const stored = await readLedgerFromStore({ directory: harbour.storeDirectory, bucket, prefix, keyOf });
  const acknowledgedIds = (await readRecordFile(recordFile)).map(({ id }) => id);
  expect(acknowledgedIds.length).toBeGreaterThan(80);
  expect(checkLedger({ acknowledgedIds, segments: stored.segments })).toMatchObject({
    lost: [],
    duplicated: [],
  });
  expect(findOverlaps({ ...stored, strict: true }).overlapping).toEqual([]);
  const deleted = await runOperation(client, { kind: "delete", application });
  expect(deleted).toMatchObject({ state: "committed" });
}
