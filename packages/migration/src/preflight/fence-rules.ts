import { type Rule, unseen, valueOf } from "./rule.ts";

/** What is done when the source does not stop as it should, and whether that can ever pass. */
export const fenceRules: readonly Rule[] = [
  {
    id: "strategy-without-fence",
    severity: "blocking",
    means: "only a fence passes a lease on after anything but a proven, graceful stop",
    fix: 'give the storage a "fence", or choose give-up or halt',
    check: ({ fence, request: { strategy } }) =>
      fence === null && (strategy === "failover" || strategy === "force")
        ? `the strategy is ${strategy}, and the storage has no fence`
        : null,
  },
  {
    id: "strategy-may-lose",
    severity: "warning",
    means: "when it comes to that, what the source acknowledged and had not stored is lost",
    fix: "choose give-up or halt to lose nothing",
    check: ({ request: { strategy } }) =>
      strategy === "failover" || strategy === "force" ? `the strategy is ${strategy}` : null,
  },
  {
    id: "strategy-halts",
    severity: "info",
    means:
      "when the source does not stop as it should, the application stays as it is until a person decides",
    fix: "nothing need be done",
    check: ({ request: { strategy } }) => (strategy === "halt" ? "the strategy is halt" : null),
  },
  {
    id: "cold-move",
    severity: "info",
    means:
      "the target is made only once the source has stopped, so the application is down for as long as that takes as well",
    fix: "leave cold out where the target can hold a standby",
    check: ({ request }) => (request.cold ? "a cold move was asked for" : null),
  },
  {
    id: "kill-without-fence",
    severity: "warning",
    means: "a stop that came to SIGKILL is not handed over without a fence: it would be taken back",
    fix: 'give the storage a "fence", or do not allow the kill',
    check: ({ fence, records, source }) =>
      source !== null && fence === null && records.manifest.hook.killAllowed
        ? "the hook allows SIGKILL, and the storage has no fence"
        : null,
  },
  {
    id: "fence-unreachable",
    severity: "blocking",
    means: "the target's key could not be made, nor the source's taken away",
    fix: "bring the administration of keys up, and correct its key",
    check: ({ fence }) => unseen(fence?.knowsSourceKey, "the administration of keys does not answer"),
  },
  {
    id: "fence-without-key",
    severity: "warning",
    means: "the source writes with a key that no fence can take away",
    fix: "deploy the application anew, under the fence",
    check: ({ fence, source }) =>
      valueOf(fence?.knowsSourceKey) === false ? `the store knows no key of ${source?.placement}` : null,
  },
  {
    id: "fence-unmeasured",
    severity: "blocking",
    means: "a fence that does not know how long a write may be on its way proves nothing",
    fix: "measure it: baton storage probe --in-flight",
    check: (facts) => (isFenceOrdered(facts) ? boundMissing(facts) : null),
  },
  {
    id: "fence-not-ready",
    severity: "warning",
    means: "should the stop be anything but proven and graceful, the fence could not be used",
    fix: "measure it: baton storage probe --in-flight",
    check: (facts) => (isFenceOrdered(facts) ? null : boundMissing(facts)),
  },
];

type Facts = Parameters<Rule["check"]>[0];

const isFenceOrdered = ({ request: { strategy } }: Facts): boolean =>
  strategy === "failover" || strategy === "force";

function boundMissing({ fence, records, source, storage }: Facts): string | null {
  const inFlight = valueOf(storage.inFlight);
  // Where only the lease is in the bucket, no write of the application is on its way there.
  if (fence === null || source === null || records.manifest.storageUse === "lease") return null;
  if (inFlight === undefined) return null;
  if (inFlight === null) return "it was never measured how long the store waits for the rest of a write";
  return inFlight.ms === null
    ? "no bound was found for how long the store waits for the rest of a write"
    : null;
}
