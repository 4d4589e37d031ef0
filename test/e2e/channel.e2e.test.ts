/* P1 to P4 where no network path leads to the source's agent: the stop and the receipt go through the bucket. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Harbour, application, clusters, runOperation } from "@baton/example-ledger/demo";
import { agentEndpointSchema, parseAs } from "@baton/protocol";
import { readCommitLog } from "@baton/dev-store";
import { expect, it, onTestFinished } from "vitest";
import { openJourney } from "./journey.ts";

/** Its agent goes on as it is; but where it is said to be, nobody listens, as behind a network that lets nothing in. */
async function cutOff({ directory }: Harbour, placement: string, cluster: string): Promise<void> {
  const file = join(directory, cluster, "placements", placement, "state", "endpoint.json");
  const endpoint = parseAs(agentEndpointSchema, JSON.parse(await readFile(file, "utf8")), "the endpoint");
  await writeFile(file, JSON.stringify({ ...endpoint, url: "http://127.0.0.1:9" }));
}

it("moves the ledger away from an agent that cannot be reached, with its signed receipt and nothing lost", async () => {
  const journey = await openJourney();
  onTestFinished(() => journey.close());
  const { client, storeDirectory } = journey.harbour;
  const [from, to] = clusters;
  const before = await client.route(application);
  const placement = before.placement ?? "";
  await cutOff(journey.harbour, placement, from);

  const operation = await runOperation(client, { kind: "migrate", application, to });
  const { reason, state } = operation;
  expect({ state, reason }).toEqual({ state: "committed", reason: null });
  expect(operation.receipt).toMatchObject({ outcome: "graceful", evidenceClass: "proven" });
  const requests = (await readCommitLog(storeDirectory)).filter(({ key }) =>
    key.endsWith(`/requests/${placement}.json`),
  );
  // Asked and answered: its status twice, the stop.
  expect(requests.length).toBeGreaterThanOrEqual(6);

  const { acknowledged, ...wrong } = await journey.arrive();
  expect(acknowledged).toBeGreaterThan(100);
  expect(wrong).toEqual({ lost: [], duplicated: [], overlapping: 0, rewrittenSegments: [], miscounted: [] });
}, 240_000);
