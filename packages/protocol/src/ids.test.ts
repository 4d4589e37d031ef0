import fc from "fast-check";
import { describe, expect, it } from "vitest";
import * as v from "valibot";
import {
  type Run,
  commandKey,
  commandKeySchema,
  deploymentIdSchema,
  epochSchema,
  formatRun,
  nameSchema,
  newDeploymentId,
  newNonce,
  newOperationId,
  newPlacementId,
  operationIdSchema,
  placementIdSchema,
  runSchema,
  sameRun,
} from "./ids.ts";

const lastMoment = 32 ** 9 - 1;
const moment = fc.integer({ min: 0, max: lastMoment });
const idOf = (prefix: string) => fc.stringMatching(new RegExp(`^${prefix}-[0-9a-z]{20}$`));
const runs: fc.Arbitrary<Run> = fc.record({
  // Few placements and many look-alikes, or no two runs would ever be near each other.
  placement: fc.oneof(fc.constant(`pl-${"0".repeat(20)}`), idOf("pl")),
  instance: fc.stringMatching(/^[01]{1,3}$|^[0-9a-z]{40}$/),
  counter: fc.oneof(fc.integer({ min: 1, max: 12 }), fc.constant(Number.MAX_SAFE_INTEGER)),
});
const parts = fc.record({
  operation: fc.oneof(fc.constant(`op-${"0".repeat(20)}`), idOf("op")),
  step: fc.stringMatching(/^[a0-]{1,3}$|^[a-z0-9-]{64}$/),
  attempt: fc.oneof(fc.nat(12), fc.constant(Number.MAX_SAFE_INTEGER)),
  run: fc.option(runs, { nil: undefined }),
});

describe.each([
  { kind: "an operation", create: newOperationId, schema: operationIdSchema },
  { kind: "a placement", create: newPlacementId, schema: placementIdSchema },
  { kind: "a deployment", create: newDeploymentId, schema: deploymentIdSchema },
])("the id of $kind", ({ create, schema }) => {
  it("sorts by the millisecond in which it was made", () => {
    fc.assert(
      fc.property(moment, moment, (a, b) => {
        fc.pre(a < b);
        expect(create(a) < create(b)).toBe(true);
      }),
    );
    expect(create(7) < create(8)).toBe(true);
    expect(create(31) < create(32)).toBe(true);
    expect(create(0) < create(lastMoment)).toBe(true);
  });

  it("has the same beginning as its fellows of one millisecond, and is still unique", () => {
    const ids = Array.from({ length: 1_000 }, () => create(1_770_000_000_000));
    expect(new Set(ids.map((id) => id.slice(0, 12))).size).toBe(1);
    expect(new Set(ids).size).toBe(1_000);
  });

  it("is accepted by its own pattern only", () => {
    const schemas = [operationIdSchema, placementIdSchema, deploymentIdSchema];
    fc.assert(
      fc.property(moment, (now) => {
        const accepting = schemas.filter((each) => v.is(each, create(now)));
        expect(accepting).toEqual([schema]);
      }),
    );
    expect(v.is(schema, create())).toBe(true);
    expect(v.is(schema, `${create()}\n`)).toBe(false);
    expect(v.is(schema, create().toUpperCase())).toBe(false);
  });
});

describe("a nonce", () => {
  it("is 128 bits as hex, new each time", () => {
    const nonces = Array.from({ length: 1_000 }, newNonce);
    expect(new Set(nonces).size).toBe(1_000);
    for (const nonce of nonces) expect(nonce).toMatch(/^[0-9a-f]{32}$/);
  });
});

describe("a name", () => {
  it.each(["a", "ledger", "a-1", `a${"b".repeat(62)}`])("may be %s", (name) => {
    expect(v.is(nameSchema, name)).toBe(true);
  });

  it.each(["", "A", "1a", "-a", "a-", "a.b", "a_b", "a b", "ä", "a\n", `a${"b".repeat(63)}`, 1, null])(
    "is refused as %j",
    (name) => {
      expect(v.is(nameSchema, name)).toBe(false);
    },
  );
});

describe("an epoch", () => {
  it("is a whole number that can be counted", () => {
    for (const epoch of [0, 1, Number.MAX_SAFE_INTEGER]) expect(v.is(epochSchema, epoch)).toBe(true);
    for (const epoch of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, "1", null])
      expect(v.is(epochSchema, epoch)).toBe(false);
  });
});

describe("a run", () => {
  it("has a text that no other run has", () => {
    fc.assert(
      fc.property(runs, runs, (a, b) => {
        expect(v.is(runSchema, a)).toBe(true);
        expect(formatRun(a) === formatRun(b)).toBe(sameRun(a, b));
      }),
      { numRuns: 500 },
    );
  });

  it("is the same as itself alone, in each of its parts", () => {
    fc.assert(
      fc.property(runs, (run) => {
        expect(sameRun(run, { ...run })).toBe(true);
        expect(sameRun(run, { ...run, counter: run.counter - 1 })).toBe(false);
        expect(sameRun(run, { ...run, instance: `${run.instance}0` })).toBe(false);
        expect(sameRun(run, { ...run, placement: newPlacementId() })).toBe(false);
        expect(sameRun(run, null)).toBe(false);
        expect(sameRun(null, run)).toBe(false);
      }),
    );
    expect(sameRun(null, null)).toBe(true);
  });

  it("is not mistaken for one whose parts are cut elsewhere", () => {
    expect(
      sameRun(
        { placement: "a.b", instance: "c", counter: 1 },
        { placement: "a", instance: "b.c", counter: 1 },
      ),
    ).toBe(false);
  });

  it.each([
    { placement: "pl-1" },
    { instance: "" },
    { instance: "a.b" },
    { instance: "a".repeat(41) },
    { counter: 0 },
    { counter: 1.5 },
    { more: 1 },
  ])("is refused with %o", (change) => {
    const run = { placement: newPlacementId(), instance: "1a", counter: 1 };
    expect(v.is(runSchema, run)).toBe(true);
    expect(v.is(runSchema, { ...run, ...change })).toBe(false);
  });
});

describe("a command's key", () => {
  const operation = newOperationId();
  const run = { placement: newPlacementId(), instance: "1a", counter: 3 };

  it("is made of its parts", () => {
    expect(commandKey({ operation, step: "start", attempt: 2 })).toBe(`${operation}.start.2`);
    expect(commandKey({ operation, step: "stop", attempt: 1, run })).toBe(
      `${operation}.stop.1.${run.placement}.1a.3`,
    );
  });

  it("differs where any part differs, and is always one that the wire accepts", () => {
    fc.assert(
      fc.property(parts, parts, (a, b) => {
        const same =
          a.operation === b.operation &&
          a.step === b.step &&
          a.attempt === b.attempt &&
          sameRun(a.run ?? null, b.run ?? null);
        expect(commandKey(a) === commandKey(b)).toBe(same);
        expect(v.is(commandKeySchema, commandKey(a))).toBe(true);
      }),
      { numRuns: 1_000 },
    );
  });

  // A step with dots could spell the key of another step about a run.
  it.each([
    { step: `stop.1.${run.placement}.1a`, attempt: 3 },
    { step: "", attempt: 1 },
    { step: "a".repeat(65), attempt: 1 },
    { step: "stop", attempt: 1.5 },
    { step: "stop", attempt: -1 },
    { step: "stop", attempt: 1, operation: "op-1.stop" },
    { step: "stop", attempt: 1, run: { ...run, instance: "1.a" } },
  ])("is not made of %o", (wrong) => {
    expect(() => commandKey({ operation, ...wrong })).toThrow(expect.objectContaining({ code: "internal" }));
  });
});
