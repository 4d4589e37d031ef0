import { describe, expect, it } from "vitest";
import * as v from "valibot";
import {
  agentEndpointSchema,
  agentOperationSchema,
  agentStatusSchema,
  confirmationSchema,
  cookieVariable,
} from "./agent-api.ts";
import { AppError } from "./errors.ts";
import { newPlacementId } from "./ids.ts";
import { createKeyPair } from "./keys.ts";
import { toProblem } from "./problem.ts";

const placement = newPlacementId();
const run = { placement, instance: "1a", counter: 1 };
const at = "2026-03-01T12:00:00.000Z";
const { publicKey } = await createKeyPair();

describe("an agent's operation", () => {
  const problem = toProblem(new AppError("stop-refused", "cannot stop it: it still runs"));
  const result = { run, execAt: at, readyAt: at, startMs: 12.5 };

  it.each([
    { key: "k", kind: "stop", state: "open" },
    { key: "k", kind: "burn", state: "receipt", receipt: "a.b.c", copy: "bucket" },
    { key: "k", kind: "start", state: "started", result },
    { key: "k", kind: "start", state: "failed", problem },
  ])("may be $state", (operation) => {
    expect(v.parse(agentOperationSchema, operation)).toEqual(operation);
  });

  it.each([
    { key: "k", kind: "start", state: "receipt", receipt: "a.b.c" },
    { key: "k", kind: "stop", state: "started", result },
    { key: "k", kind: "stop", state: "open", receipt: "a.b.c" },
    { key: "k", kind: "stop", state: "receipt" },
    { key: "a/b", kind: "stop", state: "open" },
    { key: "k", kind: "withdraw", state: "open" },
  ])("is never %o", (operation) => {
    expect(v.is(agentOperationSchema, operation)).toBe(false);
  });
});

describe("an agent's status", () => {
  const status = {
    placement,
    instance: "1a",
    agentVersion: "0.1.0",
    state: "held",
    epoch: 0,
    run: null,
    ready: false,
    open: false,
    lease: { reachable: true, lost: false, detail: null },
    waiting: null,
  };

  it("tells of a run, or that there was none", () => {
    for (const each of [status, { ...status, state: "running", run, ready: true, open: true }])
      expect(v.parse(agentStatusSchema, each)).toEqual(each);
  });

  it.each([{ state: "gone" }, { run: undefined }, { lease: undefined }, { epoch: -1 }, { more: 1 }])(
    "is refused with %o",
    (change) => {
      expect(v.is(agentStatusSchema, { ...status, ...change })).toBe(false);
    },
  );
});

it("an agent's endpoint says who listens where", () => {
  const url = "http://127.0.0.1:4001";
  const endpoint = { placement, instance: "1a", url, publicKey, pid: 7, startTime: "12", bootId: "b" };
  expect(v.parse(agentEndpointSchema, endpoint)).toEqual(endpoint);
  expect(v.is(agentEndpointSchema, { ...endpoint, publicKey: undefined })).toBe(false);
});

it("a confirmation holds one receipt of a bounded size", () => {
  const accepts = (receipt: unknown) => v.is(confirmationSchema, { receipt });
  expect(accepts("a.b.c")).toBe(true);
  for (const receipt of ["", "a".repeat(32_769), null]) expect(accepts(receipt)).toBe(false);
});

it("the cookie's variable can be set in any shell", () => {
  expect(cookieVariable).toMatch(/^[A-Z_]+$/);
});
