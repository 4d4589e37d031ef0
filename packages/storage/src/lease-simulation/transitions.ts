import { type Run, sameRun } from "@baton/protocol";
import type { Lease, LeaseChange } from "../lease.ts";

/** Whether one of these shows what the change asks for. */
export function wasDone(leases: readonly Lease[], change: LeaseChange): boolean {
  return leases.some((lease) => {
    switch (change.kind) {
      case "create":
      case "grant":
        return lease.grant === change.grant && lease.holder === change.holder;
      case "run":
      case "restart":
      case "renew":
        return lease.state === "running" && lease.epoch === change.epoch && sameRun(lease.run, change.run);
      case "stop":
        return lease.state === "stopped" && lease.epoch === change.epoch && sameRun(lease.run, change.run);
      case "burn":
        return lease.state === "stopped" && lease.epoch === change.epoch && lease.run === null;
      case "fence":
        return (
          lease.state === "fenced" && lease.epoch === change.from.epoch && sameRun(lease.run, change.from.run)
        );
    }
  });
}

/** Why the lease may not go from one state to the other, written down a second time from the design; null when it may. */
export function forbidden(before: Lease | null, after: Lease): string | null {
  if ((after.grant !== null) !== (after.state === "granted"))
    return `a lease is ${after.state} ${after.grant === null ? "without a" : "and has a"} grant`;
  if (before === null)
    return after.epoch === 1 && after.state === "granted"
      ? null
      : "the first lease is not a grant of epoch 1";
  if (after.owner !== before.owner || after.application !== before.application)
    return "the lease changed its owner";
  if (after.epoch !== before.epoch) {
    if (after.epoch !== before.epoch + 1) return `the epoch went from ${before.epoch} to ${after.epoch}`;
    return before.state !== "granted" && after.state === "granted" && after.run === null
      ? null
      : `epoch ${after.epoch} began as ${after.state} after ${before.state}`;
  }
  const isSame = sameRun(before.run, after.run);
  const step = `${before.state} ${after.state}`;
  const isAllowed =
    after.holder === before.holder &&
    ((step === "granted running" && after.run?.placement === after.holder) ||
      (["granted stopped", "granted fenced"].includes(step) && after.run === null) ||
      (["running stopped", "running fenced", "stopped fenced"].includes(step) && isSame) ||
      (step === "running running" && (isSame || isNewer(before.run, after.run))));
  return isAllowed ? null : `epoch ${after.epoch} went from ${step.replace(" ", " to ")}`;
}

const isNewer = (before: Run | null, after: Run | null): boolean =>
  before !== null &&
  after !== null &&
  after.placement === before.placement &&
  // Another life of the agent begins to count anew.
  (after.instance !== before.instance || after.counter > before.counter);
