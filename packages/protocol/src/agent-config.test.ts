import { describe, expect, it } from "vitest";
import * as v from "valibot";
import { agentConfigSchema } from "./agent-config.ts";
import { newPlacementId } from "./ids.ts";
import { createKeyPair } from "./keys.ts";

const placement = newPlacementId();
const { publicKey } = await createKeyPair();

describe("an agent's configuration", () => {
  const config = {
    version: 1,
    placement,
    application: "ledger",
    stateDirectory: "/srv/state",
    listen: { host: "127.0.0.1", port: 0 },
    applicationPort: 4_000,
    commandKey: publicKey,
    confirm: { url: "http://127.0.0.1:3000/v1/receipts" },
    storage: {
      endpoint: "http://127.0.0.1:9000",
      region: "us-east-1",
      bucket: "data",
      prefix: "ledger/",
      owner: "o",
      control: { file: "/etc/control.json" },
      renewMs: 1_000,
    },
    workload: { command: ["node"], environment: {} },
    hook: { graceMs: 1 },
    readiness: { path: "/", timeoutMs: 1 },
  };

  it("is complete once it was read, and comes back as it was written then", () => {
    const complete = v.parse(agentConfigSchema, config);
    expect(complete).toMatchObject({ start: "held", afterExit: "stay", krake: null, attach: null });
    expect(v.parse(agentConfigSchema, JSON.parse(JSON.stringify(complete)))).toEqual(complete);
  });

  it("may send the application to another endpoint than the lease's", () => {
    const application = { endpoint: "http://127.0.0.1:9001", region: "b" };
    const storage = { ...config.storage, application };
    expect(v.parse(agentConfigSchema, { ...config, storage })).toMatchObject({ storage: { application } });
  });

  it.each<[string, object]>([
    ["another version", { version: 2 }],
    ["a private command key", { commandKey: { ...publicKey, d: publicKey.x } }],
    ["a confirmation that is no URL", { confirm: { url: "orchestrator" } }],
    ["a lease that is never renewed", { storage: { ...config.storage, renewMs: 0 } }],
    ["a lease without an owner", { storage: { ...config.storage, owner: "" } }],
    ["a start of another kind", { start: "never" }],
    ["an exit status that is none", { exitCodes: { "256": 0 } }],
    ["an exit status that is changed to none", { exitCodes: { "143": -1 } }],
    ["a port that is none", { listen: { host: "127.0.0.1", port: 70_000 } }],
    ["an application to attach to without saying by what", { attach: { pattern: "x" } }],
    ["a secret in place of its file", { storage: { ...config.storage, control: "hunter2" } }],
  ])("is refused with %s", (_, change) => {
    expect(v.is(agentConfigSchema, { ...config, ...change })).toBe(false);
  });
});
