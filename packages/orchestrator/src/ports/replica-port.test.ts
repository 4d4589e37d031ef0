import type { StorageManifest } from "@baton/protocol";
import { describe, expect, it } from "vitest";
import { storageManifest } from "../fixtures/records-bed.ts";
import { createReplicaPort, replicaMsOf } from "./replica-port.ts";

const late = { endpoint: "http://replica", replica: "asynchronous" } as const;
const storage: StorageManifest = {
  ...storageManifest("silo"),
  clusters: {
    b: late,
    beside: { ...late, replicaWaitMs: 7 },
    c: { endpoint: "http://other-replica", replica: "asynchronous", replicaWaitMs: 400_000 },
    d: { endpoint: "http://synchronous" },
  },
};

describe("a wait for a replica", () => {
  it.each([
    ["to one", "a", "b", 300_000],
    ["from one", "b", "a", 300_000],
    ["from one to another, as long as the slower may take", "beside", "c", 400_000],
    ["from one to another endpoint of the bucket", "c", "d", 400_000],
    ["between clusters at one and the same", "b", "beside", 0],
    ["between others", "a", "d", 0],
    ["before there is a source", null, "b", 0],
    ["to nowhere", "b", null, 0],
    ["to a cluster of a name that objects have by themselves", "a", "constructor", 0],
  ])("%s", (_, source, target, ms) => {
    expect(replicaMsOf({ storage, source, target })).toBe(ms);
    expect(createReplicaPort({ storage, source, target }) === null).toBe(ms === 0);
  });
});
