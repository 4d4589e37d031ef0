import type { AgentStatus } from "@baton/protocol";
import type { Lease, ProbeResult, ProbeTest } from "@baton/storage";
import { describe, expect, it } from "vitest";
import { type PreflightFacts, checkPreflight } from "./preflight-rules.ts";

const source = "pl-00000000000000000001";
const run = { placement: source, instance: "1", counter: 1 };
const status: AgentStatus = {
  placement: source,
  instance: "1",
  agentVersion: "0",
  state: "running",
  epoch: 1,
  run,
  ready: true,
  open: true,
  lease: { reachable: true, lost: false, detail: null },
  waiting: null,
};
const lease: Lease = {
  version: 1,
  owner: "me/ledger",
  application: "ledger",
  prefix: "ledger/",
  epoch: 1,
  holder: source,
  state: "running",
  grant: null,
  run,
  operation: "op-00000000000000000000",
  nonce: "n",
  history: ["n"],
  at: "1970-01-01T00:00:00.000Z",
};
const probeWith = (...tests: ProbeTest[]): ProbeResult => ({
  testedAt: "1970-01-01T00:00:00.000Z",
  endpoints: ["memory"],
  server: null,
  clockSkewMs: null,
  ifMatch: "quoted",
  tests,
});
const fine: PreflightFacts = {
  application: "ledger",
  owner: "me/ledger",
  source,
  sourceCluster: "harbor-a",
  targetCluster: "harbor-b",
  status,
  lease,
  probe: probeWith({ name: "create-only", passed: true, required: true, detail: "refused" }),
  ifMatch: "quoted",
  targetReachable: true,
  trouble: [],
};

const cases: readonly (readonly [string, Partial<PreflightFacts>])[] = [
  ["same-cluster", { targetCluster: "harbor-a" }],
  ["target-unavailable", { targetReachable: false, trouble: ["no route"] }],
  ["source-unreachable", { status: null, trouble: ["no answer"] }],
  ["source-not-serving", { status: { ...status, state: "crashed" } }],
  ["source-not-serving", { status: { ...status, ready: false } }],
  ["lease-missing", { lease: null }],
  ["lease-foreign", { lease: { ...lease, owner: "them/ledger" } }],
  ["lease-foreign", { lease: { ...lease, application: "other" } }],
  ["lease-holder", { lease: { ...lease, holder: "pl-00000000000000000009" } }],
  ["lease-holder", { lease: { ...lease, state: "stopped" } }],
  ["lease-holder", { lease: { ...lease, state: "fenced" } }],
  ["run-mismatch", { lease: { ...lease, epoch: 2 } }],
  ["run-mismatch", { status: { ...status, run: { ...run, counter: 2 } } }],
  ["run-mismatch", { status: { ...status, run: null } }],
  ["storage-unprobed", { probe: null, trouble: ["no answer"] }],
  [
    "storage-unfit",
    { probe: probeWith({ name: "create-only", passed: false, required: true, detail: "stored" }) },
  ],
  ["storage-if-match", { ifMatch: "bare" }],
];

describe("preflight", () => {
  it("finds nothing where everything is as it must be", () => {
    expect(checkPreflight(fine)).toEqual([]);
  });

  it("lets a deviation of the store pass that is no reason to refuse it", () => {
    const probe = probeWith({ name: "versions", passed: false, required: false, detail: "never" });
    expect(checkPreflight({ ...fine, probe })).toEqual([]);
  });

  it.each(cases)("finds %s", (id, change) => {
    const findings = checkPreflight({ ...fine, ...change });
    expect(findings.map((finding) => finding.id)).toEqual([id]);
    expect(findings[0]?.detail).not.toBe("");
    expect(findings[0]?.fix).not.toBe("");
  });
});
