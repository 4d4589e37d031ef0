import { describe, expect, it } from "vitest";
import * as v from "valibot";
import { newOperationId, newPlacementId } from "./ids.ts";
import { operationRequestSchema, operationSchema, routeSchema } from "./operation.ts";

const at = "2026-03-01T12:00:00.000Z";
const operation = {
  id: newOperationId(),
  kind: "migrate",
  application: "ledger",
  from: "harbor-a",
  to: "harbor-b",
  state: "committed",
  reason: null,
  steps: [{ name: "stop", state: "done", pivot: false, startedAt: at, ms: 12.5, detail: null }],
  epochBefore: 1,
  epochAfter: 2,
  source: newPlacementId(),
  target: newPlacementId(),
  receipt: { outcome: "graceful", evidenceClass: "proven", jws: "a.b.c" },
  fence: {
    key: {
      identity: "baton-0123456789ab-pl-1",
      disabledAt: at,
      denied: [{ endpoint: "http://127.0.0.1:9000", at, tries: 3 }],
      settleMs: 72_500,
      uploads: { aborted: 1, complete: false },
      inventory: { objects: 3, bytes: 1_234, digest: "0".repeat(64) },
    },
    role: {
      role: "baton-pl-1",
      disabledAt: at,
      refused: { at, code: "28P01", tries: 3 },
      ended: ["client backend 7"],
      noneAt: at,
    },
  },
  replica: null,
  possibleLoss: true,
  ledger: {
    stopSentAt: at,
    drainedAt: at,
    exitedAt: at,
    confirmedAt: at,
    fencedAt: at,
    grantedAt: at,
    startSentAt: at,
    readyAt: at,
    firstWriteAt: at,
    committedAt: at,
    applicationStopMs: 1,
    applicationStartMs: 2,
  },
  course: "forward",
  strategy: "failover",
  cold: true,
  plan: "1".repeat(64),
  findings: [],
  decisions: [{ kind: "override", reason: "the rack burned", by: "night-shift", at }],
  startedBy: "night-shift",
  createdAt: at,
  endedAt: at,
  version: 7,
};

describe("an operation", () => {
  it("comes back as it was sent, as a migration and as a first deployment that has only begun", () => {
    const nothing = Object.fromEntries(Object.keys(operation.ledger).map((moment) => [moment, null]));
    const step = { ...operation.steps[0], state: "pending", startedAt: null, ms: null };
    const begun = {
      ...operation,
      kind: "deploy",
      state: "open",
      from: null,
      source: null,
      epochBefore: null,
      epochAfter: null,
      receipt: null,
      fence: null,
      possibleLoss: false,
      endedAt: null,
      steps: [step],
      ledger: nothing,
    };
    for (const each of [operation, begun])
      expect(v.parse(operationSchema, JSON.parse(JSON.stringify(each)))).toEqual(each);
  });

  it.each<[string, object]>([
    ["an unknown state", { state: "done" }],
    ["an unknown kind", { kind: "erase" }],
    ["an id of another kind", { id: newPlacementId() }],
    ["a target that is none", { target: "harbor-b" }],
    ["an unknown step state", { steps: [{ ...operation.steps[0], state: "skipped" }] }],
    ["half a fence", { fence: { key: null } }],
    ["an unknown outcome", { receipt: { ...operation.receipt, outcome: "fine" } }],
    ["a moment missing in the ledger", { ledger: { ...operation.ledger, readyAt: undefined } }],
    ["a moment that is none", { createdAt: "yesterday" }],
    ["a moment without a zone", { createdAt: "2026-03-01T12:00:00.000" }],
    ["a version that cannot be compared", { version: 1.5 }],
    ["a field too many", { more: 1 }],
  ])("is refused with %s", (_, change) => {
    expect(v.is(operationSchema, { ...operation, ...change })).toBe(false);
  });
});

describe("a request for an operation", () => {
  it.each(["deploy", "migrate"])("asks to %s an application to a cluster", (kind) => {
    const request = { kind, application: "ledger", to: "harbor-b" };
    expect(v.parse(operationRequestSchema, request)).toEqual(request);
    for (const change of [{ to: undefined }, { to: "Harbor" }, { application: "" }, { from: "harbor-a" }])
      expect(v.is(operationRequestSchema, { ...request, ...change })).toBe(false);
  });
});

describe("a request for what has a placement", () => {
  it.each(["stop", "start", "delete"])("asks to %s an application, and names no cluster", (kind) => {
    const request = { kind, application: "ledger" };
    expect(v.parse(operationRequestSchema, request)).toEqual(request);
    const strategy = { ...request, strategy: "failover" };
    expect(v.is(operationRequestSchema, strategy)).toBe(kind !== "start");
    for (const change of [{ to: "harbor-a" }, { application: "" }, { cold: true }])
      expect(v.is(operationRequestSchema, { ...request, ...change })).toBe(false);
  });
});

describe("a route", () => {
  it("names where clients go, or that nothing serves", () => {
    const open = {
      application: "ledger",
      url: "http://127.0.0.1:4000/",
      placement: newPlacementId(),
      cluster: "harbor-a",
      epoch: 2,
    };
    for (const route of [open, { ...open, url: null, placement: null, cluster: null, epoch: 0 }])
      expect(v.parse(routeSchema, route)).toEqual(route);
    for (const change of [{ url: "harbor-a" }, { epoch: -1 }, { cluster: undefined }])
      expect(v.is(routeSchema, { ...open, ...change })).toBe(false);
  });
});
