/*
 * P1, P3: several orchestrators on one database. Whoever dies or is paused is taken over from within seconds, and one that wakes up does nothing
 * more: no second effect at a receiver (rule 20), no record changed.
 */
import { fileURLToPath } from "node:url";
import { readCommitLog } from "@baton/dev-store";
import {
  type Harbour,
  application,
  bucket,
  clusters,
  openHarbour,
  prefix,
  runOperation,
} from "@baton/example-ledger/demo";
import type { Operation } from "@baton/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readLeaseWrites, readPlacements } from "./receivers.ts";
import { startReplica } from "./replica.ts";

const withoutTerm = fileURLToPath(new URL("fixtures/without-term.ts", import.meta.url));
const takeoverMs = 5_000;
const openMs = 180_000;

let harbour: Harbour;
beforeAll(async () => {
  harbour = await openHarbour();
  await runOperation(harbour.client, { kind: "deploy", application, to: clusters[0] });
}, openMs);
afterAll(() => harbour.close(), openMs);

const elsewhere = async (): Promise<string> => {
  const { cluster } = await harbour.client.route(application);
  return clusters.find((name) => name !== cluster) ?? clusters[0];
};

const followed = async (id: string): Promise<Operation> => {
  let last = await harbour.client.operation(id);
  for await (const operation of harbour.client.watchOperation(id, AbortSignal.timeout(60_000)))
    last = operation;
  return last;
};

/** Everything that a receiver counted, and the record. */
const seen = async (id: string) => ({
  operation: await harbour.client.operation(id),
  effects: (await readPlacements(harbour)).map(({ placement, effects }) => ({ placement, effects })),
  leases: await readLeaseWrites(harbour),
  canaries: (await readCommitLog(harbour.storeDirectory)).filter(
    (commit) => commit.bucket === bucket && commit.key === `${prefix}canary`,
  ).length,
});

/** A replica is paused just before this step's effect, the harbour's own takes over, and then the paused one wakes up. */
async function wakeUp(step: string, environment: Readonly<Record<string, string>> = {}) {
  const replica = await startReplica(harbour, {
    name: `paused-at-${step}${"NODE_OPTIONS" in environment ? "-defective" : ""}`,
    environment: { BATON_FAULT: `pause@migrate.${step}:before`, ...environment },
  });
  const { id } = await replica.client.startOperation({ kind: "migrate", application, to: await elsewhere() });
  await replica.paused();
  const { state } = await followed(id);
  expect(state).toBe("committed");
  const before = await seen(id);
  replica.resume();
  await replica.said("no longer owned by this execution");
  // It lives, and works for whoever asks next.
  expect((await replica.client.operation(id)).state).toBe("committed");
  const after = await seen(id);
  await replica.kill();
  return { before, after };
}

describe("a replica that dies", () => {
  it("is taken over from within five seconds", async () => {
    const replica = await startReplica(harbour, {
      name: "doomed",
      environment: { BATON_FAULT: "pause@migrate.prepare:before" },
    });
    const { id } = await replica.client.startOperation({
      kind: "migrate",
      application,
      to: await elsewhere(),
    });
    await replica.paused();
    await replica.kill();
    const diedAt = performance.now();
    const { version } = await harbour.client.operation(id);
    for await (const operation of harbour.client.watchOperation(id, AbortSignal.timeout(60_000)))
      if (operation.version > version) break;
    expect(performance.now() - diedAt).toBeLessThan(takeoverMs);
    expect((await followed(id)).state).toBe("committed");
  });
});

describe("a replica that is paused and wakes up", () => {
  it.for(["stop", "handOver", "start", "verify", "retire"])(
    "just before the effect of %s does nothing more",
    async (step) => {
      const { before, after } = await wakeUp(step);
      expect(before.operation.steps.every(({ state }) => state === "done")).toBe(true);
      expect(after).toEqual(before);
    },
  );

  it("would do harm if it did not look: the planted defect is found", async () => {
    const { before, after } = await wakeUp("verify", { NODE_OPTIONS: `--import ${withoutTerm}` });
    expect(after.canaries).toBe(before.canaries + 1);
    expect(after.operation.version).toBeGreaterThan(before.operation.version);
  });
});
