import { describe, expect, it } from "vitest";
import * as v from "valibot";
import { type Lease, type LeaseChange, isInEffect, leaseKey, leaseSchema, nextLease } from "./lease.ts";
import {
  at,
  burn,
  create,
  fence,
  handOver,
  harbor,
  island,
  leaseAfter,
  otherOperation,
} from "./fixtures/lease-samples.ts";
import { operation, owner, renew, restart, run, runOf, stop } from "./fixtures/lease-samples.ts";

type Tenure = (typeof fence)["from"];
const neverRan: Tenure = { ...fence.from, run: null };
const stamp = { nonce: "next", at };
const refusedWith = (code: string): unknown => expect.objectContaining({ code });

describe("leaseKey", () => {
  it("puts the lease below the control prefix", () => {
    expect(leaseKey("ledger/")).toBe(".baton/leases/ledger/lease.json");
  });

  it("refuses what is no prefix", () => {
    expect(() => leaseKey("../../x/")).toThrow(refusedWith("invalid-request"));
  });
});

describe("an adoption", () => {
  const from = { owner, holder: harbor, epoch: 1, run: runOf(harbor) };
  const adopt = {
    kind: "adopt",
    owner: "them/ledger",
    application: "shop",
    from,
    operation: otherOperation,
  } as const;

  it("makes another owner's lease ours, fenced, in the next epoch, and keeps whom it was taken from", () => {
    const before = leaseAfter(create, run);
    const after = nextLease(before, adopt, stamp);
    expect(after).toMatchObject({
      owner: "them/ledger",
      application: "shop",
      epoch: 2,
      state: "fenced",
      grant: null,
      holder: harbor,
      run: runOf(harbor),
      operation: otherOperation,
    });
    expect(v.is(leaseSchema, after)).toBe(true);
    expect([isInEffect(after, adopt), isInEffect(before, adopt)]).toEqual([true, false]);
    expect(isInEffect({ ...after, epoch: 3 }, adopt)).toBe(false);
    // Whoever had it can do nothing with it any more.
    expect(() => nextLease(after, renew, stamp)).toThrow(refusedWith("lease-foreign"));
    expect(() => nextLease(after, stop, stamp)).toThrow(refusedWith("lease-foreign"));
  });

  it("takes a grant along that nobody used", () => {
    const unused = { ...adopt, from: { ...from, run: null } };
    expect(nextLease(leaseAfter(create), unused, stamp)).toMatchObject({
      state: "fenced",
      grant: null,
      run: null,
    });
  });

  it.each([
    ["is ours already", { owner }],
    ["is a third one's", { from: { ...from, owner: "third" } }],
    ["is in another epoch", { from: { ...from, epoch: 2 } }],
    ["is held by another placement", { from: { ...from, holder: island } }],
    ["has another run", { from: { ...from, run: null } }],
  ])("is refused of one that %s", (_, change) => {
    expect(() => nextLease(leaseAfter(create, run), { ...adopt, ...change }, stamp)).toThrow(
      refusedWith("lease-mismatch"),
    );
  });

  it("is refused where there is none", () => {
    expect(() => nextLease(null, adopt, stamp)).toThrow(refusedWith("lease-missing"));
  });
});

describe("a lease", () => {
  it("is created granted, in epoch 1", () => {
    expect(nextLease(null, create, stamp)).toEqual({
      version: 1,
      owner,
      application: "ledger",
      prefix: "ledger/",
      epoch: 1,
      holder: harbor,
      state: "granted",
      grant: "grant-1",
      run: null,
      operation,
      nonce: "next",
      history: ["next"],
      at,
    });
  });

  it("runs by its grant, which is gone afterwards", () => {
    expect(leaseAfter(create, run)).toMatchObject({
      state: "running",
      grant: null,
      run: runOf(harbor),
      operation,
    });
    expect(leaseAfter(create, { ...run, operation: otherOperation }).operation).toBe(otherOperation);
  });

  it("runs on as another run of the same slot, in the same epoch and operation", () => {
    const before = leaseAfter(create, run);
    expect(nextLease(before, restart, stamp)).toEqual({
      ...before,
      run: runOf(harbor, 2),
      nonce: "next",
      history: ["n0", "n1", "next"],
    });
    const otherLife = { ...runOf(harbor), instance: "life2" };
    const again: LeaseChange = { ...restart, from: runOf(harbor, 2), run: otherLife };
    expect(leaseAfter(create, run, restart, again).run).toEqual(otherLife);
  });

  it("after a restart belongs to the new run only", () => {
    const restarted = leaseAfter(create, run, restart);
    for (const change of [renew, stop, restart, handOver])
      expect(() => nextLease(restarted, change, stamp)).toThrow(refusedWith("lease-mismatch"));
    expect(() => nextLease(restarted, run, stamp)).toThrow(refusedWith("grant-refused"));
    expect(nextLease(restarted, { ...stop, run: restart.run } as LeaseChange, stamp)).toMatchObject({
      state: "stopped",
      run: restart.run,
    });
  });

  it("stays what it is when it is renewed, but for the nonce", () => {
    const before = leaseAfter(create, run);
    expect(nextLease(before, renew, stamp)).toEqual({ ...before, nonce: "next" });
  });

  it("keeps the run when it is stopped and forgets the grant when it is burned", () => {
    expect(leaseAfter(create, run, stop)).toMatchObject({
      state: "stopped",
      run: runOf(harbor),
      grant: null,
    });
    expect(leaseAfter(create, burn)).toMatchObject({ state: "stopped", run: null, grant: null });
  });

  it.each<[string, LeaseChange[], Tenure]>([
    ["granted", [create], neverRan],
    ["running", [create, run], fence.from],
    ["restarted", [create, run, restart], { ...fence.from, run: restart.run }],
    ["stopped", [create, run, stop], fence.from],
    ["burned", [create, burn], neverRan],
  ])("is fenced when it is %s: its epoch stays, its grant is gone", (_, changes, from) => {
    const before = leaseAfter(...changes);
    const after = nextLease(before, { ...fence, from }, stamp);
    expect(after).toEqual({
      ...before,
      state: "fenced",
      grant: null,
      operation: otherOperation,
      nonce: "next",
      history: [...before.history, "next"],
    });
    expect(v.is(leaseSchema, after)).toBe(true);
  });

  it.each<[string, LeaseChange[], LeaseChange]>([
    ["a stopped run", [create, run, stop], handOver],
    ["a fenced run", [create, run, fence], handOver],
    ["a fenced run that had stopped", [create, run, stop, fence], handOver],
    ["a fenced grant", [create, { ...fence, from: neverRan }], { ...handOver, from: neverRan }],
    ["a run that its receipt ended", [create, run], handOver],
    ["a burned grant", [create, burn], { ...handOver, from: { ...handOver.from, run: null } }],
  ])("is handed over after %s", (_, changes, change) => {
    const after = leaseAfter(...changes, change);
    expect(after).toMatchObject({
      epoch: 2,
      holder: island,
      state: "granted",
      grant: "grant-2",
      run: null,
      operation: otherOperation,
    });
    expect(v.is(leaseSchema, after)).toBe(true);
  });

  it("remembers the last eight writes but renewals", () => {
    const changes: LeaseChange[] = [create];
    for (let epoch = 1; epoch <= 4; epoch += 1) {
      const mine = { owner, holder: harbor, epoch, run: runOf(harbor, epoch) };
      changes.push({ kind: "run", ...mine, grant: `grant-${epoch}` });
      changes.push({ kind: "renew", ...mine }, { kind: "renew", ...mine });
      changes.push({ kind: "stop", ...mine });
      const from = { holder: harbor, epoch, run: runOf(harbor, epoch) };
      changes.push({ kind: "grant", owner, from, holder: harbor, grant: `grant-${epoch + 1}`, operation });
    }
    // n0 is the create, then run, renew, renew, stop, grant for each epoch.
    expect(leaseAfter(...changes).history).toEqual(["n9", "n10", "n11", "n14", "n15", "n16", "n19", "n20"]);
  });
});

describe("a change is refused", () => {
  const granted = leaseAfter(create);
  const running = leaseAfter(create, run);
  const stopped = leaseAfter(create, run, stop);
  const burned = leaseAfter(create, burn);
  const second = leaseAfter(create, run, stop, handOver);
  const fenced = leaseAfter(create, run, fence);
  const fencedGrant = leaseAfter(create, { ...fence, from: neverRan });

  it.each<[LeaseChange, string]>([
    [run, "grant-refused"],
    [burn, "grant-refused"],
    [restart, "lease-mismatch"],
    [renew, "lease-mismatch"],
    [stop, "lease-mismatch"],
  ])("of an agent whose lease was fenced (%#)", (change, code) => {
    for (const lease of [fenced, leaseAfter(create, run, stop, fence), fencedGrant])
      expect(() => nextLease(lease, change, stamp)).toThrow(refusedWith(code));
    expect(() => nextLease(nextLease(fenced, handOver, stamp), change, stamp)).toThrow(
      refusedWith("stale-epoch"),
    );
  });

  it.each<[string, Lease, Tenure]>([
    ["what is fenced already", fenced, fence.from],
    ["another epoch", running, { ...fence.from, epoch: 2 }],
    ["another holder", running, { ...fence.from, holder: island }],
    ["another run", running, { ...fence.from, run: runOf(harbor, 2) }],
    ["a grant that was run meanwhile", running, neverRan],
    ["a run where a grant may still be used", granted, fence.from],
    ["an epoch that is over", second, fence.from],
  ])("that fences %s", (_, lease, from) => {
    expect(() => nextLease(lease, { ...fence, from }, stamp)).toThrow(refusedWith("lease-mismatch"));
  });

  it.each([run, restart, renew, stop, burn, handOver, fence])("when there is no lease ($kind)", (change) => {
    expect(() => nextLease(null, change, stamp)).toThrow(refusedWith("lease-missing"));
  });

  it.each<LeaseChange>([create, run, restart, renew, stop, burn, handOver, fence])(
    "of a foreign owner ($kind)",
    (change) => {
      for (const lease of [granted, running, stopped])
        expect(() => nextLease(lease, { ...change, owner: "baton-2" }, stamp)).toThrow(
          refusedWith("lease-foreign"),
        );
    },
  );

  it("that creates a second lease, or one of another application", () => {
    expect(() => nextLease(granted, create, stamp)).toThrow(refusedWith("lease-mismatch"));
    expect(() => nextLease(granted, { ...create, application: "shop" }, stamp)).toThrow(
      refusedWith("lease-foreign"),
    );
  });

  it.each([run, restart, renew, stop, burn])("of an older epoch ($kind)", (change) => {
    expect(() => nextLease(second, change, stamp)).toThrow(refusedWith("stale-epoch"));
  });

  it.each([run, restart, renew, stop, burn])(
    "of an epoch that has not come, or of another holder ($kind)",
    (change) => {
      const lease = change.kind === "run" || change.kind === "burn" ? granted : running;
      for (const wrong of [{ epoch: 2 }, { holder: island }])
        expect(() => nextLease(lease, { ...change, ...wrong } as LeaseChange, stamp)).toThrow(
          refusedWith("lease-mismatch"),
        );
    },
  );

  it.each([run, burn] as LeaseChange[])("without a fresh grant ($kind)", (change) => {
    for (const lease of [running, stopped, burned])
      expect(() => nextLease(lease, change, stamp)).toThrow(refusedWith("grant-refused"));
    expect(() => nextLease(granted, { ...change, grant: "other" } as LeaseChange, stamp)).toThrow(
      refusedWith("grant-refused"),
    );
  });

  it("that starts the run of another placement", () => {
    expect(() => nextLease(granted, { ...run, run: runOf(island) }, stamp)).toThrow(
      refusedWith("lease-mismatch"),
    );
  });

  it.each([renew, stop] as LeaseChange[])("of a run that is not the running one ($kind)", (change) => {
    for (const lease of [granted, stopped, burned])
      expect(() => nextLease(lease, change, stamp)).toThrow(refusedWith("lease-mismatch"));
    expect(() => nextLease(running, { ...change, run: runOf(harbor, 2) } as LeaseChange, stamp)).toThrow(
      refusedWith("lease-mismatch"),
    );
  });

  it.each([
    ["that was never started", granted],
    ["that was stopped", stopped],
    ["whose grant was burned", burned],
    ["that is fenced", fenced],
    ["that another run of the slot took", { ...running, run: runOf(harbor, 3) }],
    ["that another life of the agent took", { ...running, run: { ...runOf(harbor), instance: "life2" } }],
  ])("that restarts a lease %s", (_, lease) => {
    expect(() => nextLease(lease, restart, stamp)).toThrow(refusedWith("lease-mismatch"));
  });

  it.each([
    ["the run that is there", runOf(harbor)],
    ["an earlier run", runOf(harbor, 0)],
    ["a run of another placement", runOf(island, 2)],
  ])("that restarts as %s", (_, wrong) => {
    expect(() => nextLease(running, { ...restart, run: wrong }, stamp)).toThrow(
      `cannot restart the lease of "ledger/": it has epoch 1, held by ${harbor}, running, run ${harbor}.life1.1; ` +
        `expected was: a later run of the holder than ${harbor}.life1.1, not `,
    );
  });

  it.each([
    ["a grant that may still be used", granted, { ...handOver.from, run: null }],
    ["another epoch", stopped, { ...handOver.from, epoch: 2 }],
    ["another holder", stopped, { ...handOver.from, holder: island }],
    ["another run", stopped, { ...handOver.from, run: runOf(harbor, 2) }],
    ["no run where one was", stopped, { ...handOver.from, run: null }],
    ["no run where one is", running, { ...handOver.from, run: null }],
    ["a run where the grant was burned", burned, handOver.from],
    ["no run where one was fenced", fenced, { ...handOver.from, run: null }],
    ["a run where a grant was fenced", fencedGrant, handOver.from],
  ])("that hands over from %s", (_, lease, from) => {
    expect(() => nextLease(lease, { ...handOver, from }, stamp)).toThrow(refusedWith("lease-mismatch"));
  });

  it("with what the lease has and what was expected", () => {
    expect(() => nextLease(granted, { ...handOver, from: { ...handOver.from, run: null } }, stamp)).toThrow(
      `cannot grant the lease of "ledger/": it has epoch 1, held by ${harbor}, granted, no run; expected was: epoch 1, held by ${harbor}, stopped or fenced, no run`,
    );
  });
});

describe("isInEffect", () => {
  const history = [create, run, stop, handOver];

  it("recognises a change right after it was made", () => {
    for (const [n, change] of history.entries())
      expect(isInEffect(leaseAfter(...history.slice(0, n + 1)), change)).toBe(true);
    expect(isInEffect(leaseAfter(create, burn), burn)).toBe(true);
    expect(isInEffect(leaseAfter(create, run, fence), fence)).toBe(true);
    expect(isInEffect(leaseAfter(create, run, stop, fence), fence)).toBe(true);
    expect(isInEffect(leaseAfter(create, run, restart), restart)).toBe(true);
  });

  it("does not recognise a change before it was made, or one of somebody else", () => {
    expect(isInEffect(null, create)).toBe(false);
    expect(isInEffect(leaseAfter(create), run)).toBe(false);
    expect(isInEffect(leaseAfter(create, run), stop)).toBe(false);
    expect(isInEffect(leaseAfter(create, run), { ...run, run: runOf(harbor, 2) })).toBe(false);
    expect(isInEffect(leaseAfter(create, run), restart)).toBe(false);
    expect(isInEffect(leaseAfter(create, run), { ...restart, run: runOf(harbor) })).toBe(false);
    expect(isInEffect(leaseAfter(create, run, restart), run)).toBe(false);
    expect(isInEffect(leaseAfter(create, run, stop), burn)).toBe(false);
    expect(isInEffect(leaseAfter(create, run, stop), handOver)).toBe(false);
    expect(isInEffect(leaseAfter(create), { ...create, owner: "baton-2" })).toBe(false);
    expect(isInEffect(leaseAfter(create), { ...create, application: "shop" })).toBe(false);
    expect(isInEffect(leaseAfter(create, run), create)).toBe(false);
    expect(isInEffect(leaseAfter(create, run), fence)).toBe(false);
    expect(isInEffect(leaseAfter(create, run, stop, handOver), fence)).toBe(false);
    expect(isInEffect(leaseAfter(create, { ...fence, from: neverRan }), fence)).toBe(false);
    for (const change of [run, stop, burn]) {
      expect(isInEffect(leaseAfter(create, run, fence), change)).toBe(false);
      expect(isInEffect(leaseAfter(create, { ...fence, from: neverRan }), change)).toBe(false);
    }
  });

  it("never recognises a renewal", () => {
    expect(isInEffect(leaseAfter(create, run, renew), renew)).toBe(false);
  });
});

describe("leaseSchema", () => {
  it.each([
    ["a grant that is left over", { ...leaseAfter(create, run), grant: "grant-1" }],
    ["no grant though granted", { ...leaseAfter(create), grant: null }],
    ["no run though running", { ...leaseAfter(create, run), run: null }],
    ["a run of somebody else", { ...leaseAfter(create, run), run: runOf(island) }],
    ["epoch 0", { ...leaseAfter(create), epoch: 0 }],
    ["an unknown field", { ...leaseAfter(create), more: 1 }],
  ])("refuses %s", (_, lease) => {
    expect(v.is(leaseSchema, lease)).toBe(false);
  });
});
