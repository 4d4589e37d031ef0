import { canonicalJson } from "@baton/clusters";
import { accepts, planSchema } from "@baton/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { deploy } from "../deploy.saga.ts";
import { input } from "../fakes/fake-world.ts";
import {
  database,
  fineDeploy,
  fineMove,
  fineStart,
  known,
  lease,
  storage,
  unknown,
} from "../fakes/fine-facts.ts";
import { migrate } from "../migrate.saga.ts";
import type { PreflightFacts } from "../preflight/facts.ts";
import { makePlan } from "./make-plan.ts";
import { describeDrift, hashOf } from "./plan-parts.ts";
import { describeSaga, planSteps } from "./plan-steps.ts";

const steps = planSteps(migrate, input);
const madeAt = "1970-01-01T00:00:00.000Z";
const fine: PreflightFacts = fineMove;
const planOf = (facts: PreflightFacts) => makePlan({ kind: "migrate", facts, steps, madeAt });
const driftTo = (facts: PreflightFacts) => describeDrift(planOf(fine).parts, planOf(facts).parts);
const leased = (change: Partial<typeof lease>): PreflightFacts => ({
  ...fine,
  storage: { ...fine.storage, lease: known({ ...lease, ...change }) },
});
const asked = (request: Partial<PreflightFacts["request"]>): PreflightFacts => ({
  ...fine,
  request: { ...fine.request, ...request },
});

/** The same value with its keys in another order, at every depth. */
const shuffled = (value: unknown, seed: number): unknown => {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((one) => shuffled(one, seed));
  const entries = Object.entries(value).map(([key, one]) => [key, shuffled(one, seed)] as const);
  return Object.fromEntries([...entries.slice(seed % (entries.length || 1)), ...entries].toReversed());
};

describe("a plan", () => {
  it("says what would be done, from the saga's own table", () => {
    const { plan } = planOf(fine);
    expect(accepts(planSchema, plan)).toBe(true);
    expect(plan.steps.map(({ name, pivot }) => [name, pivot])).toEqual(
      migrate.steps.map(({ name, pivot }) => [name, pivot]),
    );
    expect(plan.longestMs).toBe(plan.steps.reduce((sum, step) => sum + step.deadlineMs, 0));
    expect(plan).toMatchObject({ from: "harbor-a", to: "harbor-b", epoch: 1, expectedDowntimeMs: 2_500 });
    expect(plan.findings).toEqual([]);
  });

  it("gives each step the time of all its phases, and of those of its undo", () => {
    const by = Object.fromEntries(steps.map((step) => [step.name, step]));
    const alone = migrate.steps.find(({ name }) => name === "stop");
    const own =
      typeof alone?.deadlineMs === "function" ? alone.deadlineMs(input as never) : alone?.deadlineMs;
    expect(by["stop"]?.deadlineMs).toBeGreaterThan(2 * Number(own) + input.graceMs);
    expect(by["stop"]?.undoMs).toBeGreaterThan(by["start"]?.undoMs ?? Infinity);
    expect(by["commit"]?.undoMs).toBeNull();
  });

  it("knows another table, or other times, by its digest", () => {
    const digests = [
      describeSaga(migrate, input),
      describeSaga(deploy, input),
      describeSaga(migrate, { ...input, graceMs: 2_000 }),
    ].map(({ steps: digest }) => digest);
    expect(new Set(digests).size).toBe(3);
    expect(describeSaga(migrate, { ...input })).toEqual({ name: "migrate@1", steps: digests[0] });
  });

  it("tells what follows from every ending of the stop, by the handover table", () => {
    const passesWith = (facts: PreflightFacts) => planOf(facts).plan.handover.map(({ passes }) => passes);
    const fence = { knowsSourceKey: known(true) };
    expect(passesWith(fine)).toEqual(["at once", "never", "never"]);
    expect(passesWith({ ...fine, fence })).toEqual(["at once", "fence", "never"]);
    expect(passesWith({ ...asked({ strategy: "failover" }), fence })).toEqual(["at once", "fence", "fence"]);
    expect(planOf(fine).plan.handover[1]?.reason).toContain("a fence would be needed");
  });

  it("has no handover where nothing is stopped, and no source where there is none", () => {
    const first = makePlan({ kind: "deploy", facts: fineDeploy, steps: planSteps(deploy, input), madeAt });
    expect(first.plan).toMatchObject({ handover: [], from: null, source: null, expectedDowntimeMs: null });
    const again = makePlan({ kind: "deploy", facts: { ...fineStart, target: null }, steps, madeAt });
    expect(again.plan).toMatchObject({ handover: [], to: null });
    expect(again.parts["what is asked"]).toBe("start ledger");
  });

  it("has the same hash whatever the order of keys, and whatever passes by itself", () => {
    const { hash } = planOf(fine).plan;
    fc.assert(
      fc.property(fc.nat(20), (seed) => {
        const other = shuffled(fine, seed) as PreflightFacts;
        expect(canonicalJson(other)).toBe(canonicalJson(fine));
        expect(planOf(other).plan.hash).toBe(hash);
      }),
    );
    const later = { ...fine, storage: { ...fine.storage, openUploads: known(7) } };
    expect(
      makePlan({ kind: "migrate", facts: later, steps, madeAt: "2026-01-01T00:00:00Z" }).plan,
    ).toMatchObject({
      hash,
      findings: [{ id: "uploads-open" }],
    });
  });

  it("has another hash for each part that is another one, and says which", () => {
    const { parts, plan } = planOf(fine);
    for (const name of Object.keys(parts)) {
      const changed = { ...parts, [name]: "#another" };
      expect(hashOf(changed)).not.toBe(plan.hash);
      expect(describeDrift(parts, changed)).toEqual([expect.stringContaining(name) as string]);
    }
    expect(describeDrift(parts, parts)).toEqual([]);
  });

  it("says in words what changed", () => {
    expect(driftTo(leased({ epoch: 3 }))).toContain("the epoch was 1 and is 3");
    expect(driftTo({ ...fine, storage: { ...fine.storage, lease: unknown("no answer") } })).toEqual([
      "the epoch was 1 and is not known",
      expect.stringContaining("the run was") as string,
      "finding lease-unreadable was not there and is blocking",
    ]);
    expect(driftTo(asked({ strategy: "halt", cold: true }))).toEqual([
      "the strategy was give-up and is halt",
      "cold or not was not cold and is cold",
    ]);
    const with9 = { ...fine.records, storage: { ...storage, settleMs: 9 }, declared: fine.records.declared };
    expect(driftTo({ ...fine, records: with9 })).toEqual([
      "the storage's settleMs was changed",
      "finding storage-changed was not there and is warning",
    ]);
    const parts = planOf(fine).parts;
    const { "the storage's settleMs": gone, ...rest } = parts;
    expect(gone).toMatch(/^#/);
    expect(describeDrift(parts, rest)).toEqual(["the storage's settleMs was taken out"]);
    expect(describeDrift(rest, parts)).toEqual(["the storage's settleMs was added"]);
    expect(describeDrift({ "finding x": "warning" }, {})).toEqual(["finding x was warning and is gone"]);
    expect(describeDrift({ "the epoch": "1" }, {})).toEqual(["the epoch was 1 and is gone"]);
    expect(describeDrift({}, { "the epoch": "1" })).toEqual(["the epoch was not there and is 1"]);
  });

  it("carries nothing of what an application is started with but its digest", () => {
    const { manifest } = fine.records;
    const workload = { ...manifest.workload, environment: { PASSWORD: "hunter2" } };
    const changed = { ...manifest, workload, verify: undefined };
    const { parts } = planOf({ ...fine, records: { ...fine.records, manifest: changed } });
    const booked = planOf({ ...fine, records: { ...fine.records, database } }).parts;
    expect(Object.keys(booked)).toContain("the database's url");
    expect(JSON.stringify(parts)).not.toContain("hunter2");
    expect(Object.keys(parts)).not.toContain("the application's verify");
  });
});
