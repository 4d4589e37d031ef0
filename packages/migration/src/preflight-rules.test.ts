import type { AgentStatus } from "@baton/protocol";
import type { Lease, ProbeResult, ProbeTest } from "@baton/storage";
import { describe, expect, it } from "vitest";
import {
  type PlacementFacts,
  type RestingFacts,
  type StorageFacts,
  type TargetFacts,
  checkGone,
  checkMove,
  checkStart,
  checkStop,
} from "./preflight-rules.ts";

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
type Facts = PlacementFacts & StorageFacts & TargetFacts;
const fine: Facts = {
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

const cases: readonly (readonly [string, Partial<Facts>])[] = [
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

describe("preflight of a move", () => {
  it("finds nothing where everything is as it must be", () => {
    expect(checkMove(fine)).toEqual([]);
  });

  it("lets a deviation of the store pass that is no reason to refuse it", () => {
    const probe = probeWith({ name: "versions", passed: false, required: false, detail: "never" });
    expect(checkMove({ ...fine, probe })).toEqual([]);
  });

  it.each(cases)("finds %s", (id, change) => {
    const findings = checkMove({ ...fine, ...change });
    expect(findings.map((finding) => finding.id)).toEqual([id]);
    expect(findings[0]?.detail).not.toBe("");
    expect(findings[0]?.fix).not.toBe("");
  });
});

describe("preflight of a stop", () => {
  it("asks the same of the source and the storage, and nothing of a target", () => {
    for (const [id, change] of cases) {
      const isTargets = id === "same-cluster" || id === "target-unavailable";
      const found = checkStop({ ...fine, ...change }).map((finding) => finding.id);
      expect(found).toEqual(isTargets ? [] : [id]);
    }
  });
});

describe("preflight of what does not run", () => {
  const resting: RestingFacts & StorageFacts = {
    ...fine,
    status: { ...status, state: "stopped", ready: false },
    lease: { ...lease, state: "stopped" },
    witness: "terminated",
  };
  const restingCases: readonly (readonly [string, Partial<RestingFacts>])[] = [
    ["source-unreachable", { status: null, trouble: ["no answer"] }],
    ["source-not-resting", { status }],
    ["source-not-resting", { status: { ...status, state: "unknown" } }],
    ["lease-missing", { lease: null }],
    ["lease-foreign", { lease: { ...lease, state: "stopped", owner: "them/ledger" } }],
    ["lease-holder", { lease }],
    ["lease-holder", { lease: { ...lease, state: "fenced" } }],
    ["lease-holder", { lease: { ...lease, state: "stopped", holder: "pl-00000000000000000009" } }],
    ["witness-unsure", { witness: "running" }],
    ["witness-unsure", { witness: "unknown", trouble: ["it may not be read"] }],
    ["witness-unsure", { witness: null, trouble: ["no answer"] }],
  ];

  it.each(["held", "stopped", "crashed"] as const)("finds nothing where the agent is %s", (state) => {
    const facts = { ...resting, status: { ...status, state } };
    expect([...checkStart(facts), ...checkGone(facts)]).toEqual([]);
  });

  it.each(restingCases)("finds %s", (id, change) => {
    for (const check of [checkStart, checkGone]) {
      const findings = check({ ...resting, ...change });
      expect(findings.map((finding) => finding.id)).toEqual([id]);
      expect(findings[0]?.detail).toMatch(/harbor-a|lease/);
    }
  });

  it("asks for a fit storage where it shall start, not where it shall go", () => {
    expect(checkStart({ ...resting, ifMatch: "bare" })).toMatchObject([{ id: "storage-if-match" }]);
    expect(checkGone({ ...resting, probe: null } as RestingFacts)).toEqual([]);
  });
});
