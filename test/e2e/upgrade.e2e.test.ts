/* P1, P3: an orchestrator is replaced by one of another version in the middle of a migration. A case of docs/fault-cases.md. */
import { fileURLToPath } from "node:url";
import { type Harbour, application, clusters, openHarbour, runOperation } from "@baton/example-ledger/demo";
import type { Operation } from "@baton/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readLeaseWrites, readPlacements } from "./receivers.ts";
import { startReplica } from "./replica.ts";

const otherVersion = fileURLToPath(new URL("fixtures/other-version.ts", import.meta.url));
const openMs = 180_000;

let harbour: Harbour;
beforeAll(async () => {
  harbour = await openHarbour();
  await runOperation(harbour.client, { kind: "deploy", application, to: clusters[0] });
}, openMs);
afterAll(() => harbour.close(), openMs);

/** Begun by the other version, which ends at this point for good; what becomes of it is this version's. */
async function migrateAcross(version: "code" | "steps", point: string): Promise<Operation> {
  const { cluster } = await harbour.client.route(application);
  const replica = await startReplica(harbour, {
    name: `other-${version}`,
    environment: {
      NODE_OPTIONS: `--import ${otherVersion}`,
      OTHER_VERSION: version,
      BATON_FAULT: `pause@migrate.${point}`,
    },
  });
  const to = clusters.find((name) => name !== cluster) ?? clusters[0];
  const { id } = await replica.client.startOperation({ kind: "migrate", application, to });
  await replica.paused();
  await replica.kill();
  let last = await harbour.client.operation(id);
  for await (const operation of harbour.client.watchOperation(id, AbortSignal.timeout(60_000)))
    last = operation;
  return last;
}

describe("an orchestrator that is upgraded in the middle of a migration", () => {
  it("fault case 29: of the same steps goes on where the other version was, every effect once", async () => {
    const before = await harbour.client.route(application);
    const operation = await migrateAcross("code", "handOver:after");
    expect(operation).toMatchObject({ state: "committed", reason: null, possibleLoss: false });
    expect(operation.steps.map(({ state }) => state)).toEqual(operation.steps.map(() => "done"));
    expect(await harbour.client.route(application)).toMatchObject({
      cluster: operation.to,
      placement: operation.target,
      epoch: before.epoch + 1,
    });
    const effects = (await readPlacements(harbour))
      .flatMap((placement) => placement.effects)
      .filter((effect) => effect.operation === operation.id)
      .map(({ effect }) => effect);
    expect(effects.toSorted()).toEqual(["exec", "receipt", "signal"]);
  });

  it("fault case 29: of other steps halts it, the source serving and locked, and passes nothing on", async () => {
    const before = await harbour.client.route(application);
    const writes = (await readLeaseWrites(harbour)).map(({ epoch }) => epoch);
    const operation = await migrateAcross("steps", "stop:before");
    expect(operation).toMatchObject({ state: "halted" });
    expect(operation.reason).toContain("its workflow ended");
    expect(await harbour.client.route(application)).toEqual(before);
    expect((await fetch(new URL("/readyz", String(before.url)))).status).toBe(200);
    expect((await readLeaseWrites(harbour)).map(({ epoch }) => epoch)).toEqual(writes);
    const again = harbour.client.startOperation({ kind: "migrate", application, to: operation.to ?? "" });
    await expect(again).rejects.toMatchObject({ code: "operation-halted" });
  });
});
