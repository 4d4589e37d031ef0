import { agentConfigSchema, newPlacementId, parseAs } from "@baton/protocol";
import { describe, expect, it } from "vitest";
import { applicationEnvironment } from "./application-environment.ts";
import type { RunFacts } from "./facts.ts";
import { storeAddress } from "./store-address.ts";

const lease = { endpoint: "http://127.0.0.1:9000", region: "main" };
const replica = { endpoint: "https://replica.example", region: "there" };
const configWith = (application?: typeof replica) =>
  parseAs(
    agentConfigSchema,
    {
      version: 1,
      placement: newPlacementId(),
      application: "ledger",
      stateDirectory: "/srv/state",
      listen: null,
      storage: {
        ...lease,
        bucket: "data",
        prefix: "ledger/",
        owner: "o",
        control: { file: "/control.json" },
        renewMs: 1_000,
        ...(application && { application }),
      },
      workload: { command: ["node"], environment: {} },
      hook: {},
      readiness: null,
    },
    "the configuration",
  );

describe("an application whose storage is a replica of where its lease is", () => {
  it.each([
    ["where the lease is, without one", undefined, lease, { host: "127.0.0.1", port: 9_000 }],
    ["at the replica, with one", replica, replica, { host: "replica.example", port: 443 }],
  ])("is told to find its data %s, and its connections are looked for there", (_, given, found, address) => {
    const config = configWith(given);
    const facts = { epoch: 1, cookie: "c" } as RunFacts;
    expect(applicationEnvironment({ config, facts, inherited: {}, secrets: {} })).toMatchObject({
      AWS_ENDPOINT_URL_S3: found.endpoint,
      AWS_REGION: found.region,
    });
    expect(storeAddress(config.storage)).toEqual(address);
  });
});
