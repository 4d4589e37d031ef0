import { isLoopback } from "./is-loopback.ts";
import { type Rule, unseen, valueOf } from "./rule.ts";

/** The store counts whole seconds. */
const agreeingMs = 5_000;
/** S3 takes no request that is signed 15 minutes away from its own clock. */
const refusedMs = 14 * 60_000;
const soonDays = 30;

/** The store, as the probe saw it with the keys of this very move. */
export const storageRules: readonly Rule[] = [
  {
    id: "storage-unprobed",
    severity: "blocking",
    means: "nobody knows whether the store honours conditional writes",
    fix: "bring the storage up",
    check: ({ storage }) => unseen(storage.probe, "the storage cannot be probed"),
  },
  {
    id: "storage-unfit",
    severity: "blocking",
    means: "a lease there would keep nobody from writing",
    fix: "use a store that honours conditional writes, and keys that keep to their prefix",
    check: ({ storage }) => failedTests(valueOf(storage.probe)?.tests ?? [], true),
  },
  {
    id: "storage-deviates",
    severity: "info",
    means: "no reason to refuse it",
    fix: "nothing need be done; see docs/stores.md",
    check: ({ storage }) => failedTests(valueOf(storage.probe)?.tests ?? [], false),
  },
  {
    id: "storage-if-match",
    severity: "blocking",
    means: "lease writes in another form would be refused, or worse, taken whatever they expect",
    fix: "find out what was changed at the store",
    check: ({ records, storage }) => {
      const form = valueOf(storage.probe)?.ifMatch;
      const said = records.storage.ifMatch ?? "quoted";
      return form !== undefined && form !== said
        ? `the store wants ETags ${form} in If-Match, and the manifest says ${said}`
        : null;
    },
  },
  {
    id: "storage-clock-refused",
    severity: "blocking",
    means: "S3 refuses what is signed a quarter of an hour away from its own clock",
    fix: "set the clocks of this machine and of the store",
    check: ({ storage }) => {
      const skew = skewOf(valueOf(storage.probe)?.clockSkewMs);
      return skew >= refusedMs ? apart(skew) : null;
    },
  },
  {
    id: "storage-clock",
    severity: "warning",
    means: "signatures and sessions end earlier or later than they say",
    fix: "set the clocks of this machine and of the store",
    check: ({ storage }) => {
      const skew = skewOf(valueOf(storage.probe)?.clockSkewMs);
      return skew >= agreeingMs && skew < refusedMs ? apart(skew) : null;
    },
  },
  {
    id: "storage-clock-unknown",
    severity: "info",
    means: "whether signatures end when they say was not seen",
    fix: "nothing need be done",
    check: ({ storage }) =>
      valueOf(storage.probe)?.clockSkewMs === null ? "the store does not tell its time" : null,
  },
  {
    id: "control-key-unreadable",
    severity: "blocking",
    means: "the lease can be neither read nor passed on",
    fix: "put the key where the storage's manifest says that it is",
    check: ({ storage }) => unseen(storage.controlKey, "Baton's own key cannot be used"),
  },
  {
    id: "control-key-temporary",
    severity: "warning",
    means: "it may run out in the middle, and then the operation waits for another one",
    fix: "use a key that stays",
    check: ({ storage }) =>
      valueOf(storage.controlKey)?.isTemporary === true ? "Baton's own key is of a session" : null,
  },
  {
    id: "storage-unlistable",
    severity: "warning",
    means: "no inventory can be taken: what is there before and after cannot be compared",
    fix: "allow the application's key to list below its prefix",
    check: ({ fence, storage }) =>
      fence === null ? unseen(storage.listing, "what is below the prefix cannot be listed") : null,
  },
  {
    id: "fence-unlistable",
    severity: "blocking",
    means: "a fence ends with an inventory, without which nothing is handed over",
    fix: "allow Baton's own key to list below the prefix",
    check: ({ fence, storage }) =>
      fence === null ? null : unseen(storage.listing, "what is below the prefix cannot be listed"),
  },
  {
    id: "uploads-unseen",
    severity: "info",
    means: "an upload that was begun may be completed after the move, by whoever has the key",
    fix: "allow the key to list uploads below the prefix",
    check: ({ storage }) => unseen(storage.openUploads, "open uploads cannot be listed"),
  },
  {
    id: "uploads-open",
    severity: "info",
    means:
      "an upload that was begun may be completed after the move, by whoever has the key; a fence aborts it",
    fix: "let the application end or abort its uploads when it stops",
    check: ({ storage }) => {
      const open = valueOf(storage.openUploads) ?? 0;
      return open === 0 ? null : `uploads below the prefix that were begun and not ended: ${open}`;
    },
  },
  {
    id: "certificates-unreadable",
    severity: "blocking",
    means: "nobody there can trust the store",
    fix: 'put whole certificates in PEM into "ca" of the storage',
    check: ({ storage }) => unseen(storage.certificateDays, "the certificates to trust cannot be read"),
  },
  {
    id: "certificates-expired",
    severity: "blocking",
    means: "no connection to the store would be made with it",
    fix: "renew it, and apply the storage again",
    check: ({ storage }) => {
      const days = valueOf(storage.certificateDays) ?? Infinity;
      return days <= 0 ? "a certificate to trust has run out" : null;
    },
  },
  {
    id: "certificates-ending",
    severity: "warning",
    means: "when it has run out, the application and Baton lose the store",
    fix: "renew it, and apply the storage again",
    check: ({ storage }) => {
      const days = valueOf(storage.certificateDays) ?? Infinity;
      return days > 0 && days <= soonDays
        ? `a certificate to trust runs out in ${Math.ceil(days)} days`
        : null;
    },
  },
  {
    id: "storage-plain-http",
    severity: "warning",
    means: "whoever is on the way reads and changes what the application stores",
    fix: "use an endpoint with TLS",
    check: ({ records: { storage } }) => {
      const plain = [storage.endpoint, ...(storage.otherEndpoints ?? [])].filter(isPlainAndAway);
      return plain.length === 0 ? null : `there is no TLS at ${plain.join(", ")}`;
    },
  },
  {
    id: "replica-late",
    severity: "warning",
    means:
      "the application is down until both endpoints show the same, and the move is taken back when that takes too long",
    fix: "let both clusters use the same endpoint, or move while little is written",
    check: ({ records: { storage }, source, target }) => {
      const late = [source?.cluster, target?.cluster].filter(
        (cluster) => storage.clusters?.[String(cluster)]?.replica === "asynchronous",
      );
      return source === null || target === null || late.length === 0
        ? null
        : `the endpoint of ${late.join(" and of ")} is an asynchronous replica`;
    },
  },
  {
    id: "settle-too-short",
    severity: "warning",
    means: "what the source had begun to send may land after the target has started",
    fix: 'raise "settleMs" of the storage to what was measured',
    check: ({ fence, records, storage }) => {
      const bound = valueOf(storage.inFlight)?.ms ?? 0;
      // A fence waits for what was measured, whatever the manifest says; a proven stop has no open socket to the store.
      return fence === null && records.manifest.hook.killAllowed && records.storage.settleMs < bound
        ? `the store waits ${bound} ms for the rest of a body, and the manifest allows ${records.storage.settleMs} ms`
        : null;
    },
  },
  {
    id: "in-flight-unseen",
    severity: "warning",
    means: "how long a fence waits could not be said",
    fix: "look into the orchestrator's log",
    check: ({ storage }) => unseen(storage.inFlight, "what was measured in flight cannot be read"),
  },
];

type Test = {
  readonly name: string;
  readonly passed: boolean;
  readonly required: boolean;
  readonly detail: string;
};

function failedTests(tests: readonly Test[], required: boolean): string | null {
  const failed = tests.filter((test) => test.required === required && !test.passed);
  return failed.length === 0
    ? null
    : `not true that ${failed.map(({ name, detail }) => `${name} (seen: ${detail})`).join("; ")}`;
}

const skewOf = (skewMs: number | null | undefined): number => Math.abs(skewMs ?? 0);

const apart = (skewMs: number): string =>
  `the clocks of the store and of this machine are ${Math.round(skewMs / 1_000)} s apart`;

const isPlainAndAway = (endpoint: string): boolean =>
  new URL(endpoint).protocol === "http:" && !isLoopback(endpoint);
