import type { MigratePorts, VerifiedReceipt } from "@baton/migration";
import type { Receipt } from "@baton/protocol";
import { leaseKey } from "@baton/storage";
import { application, moment, prefix } from "./names.ts";
import { fenceOf } from "./operation-ports.ts";
import type { ChangePorts } from "./orchestrator-deps.ts";
import type { Variant } from "./simulate.ts";

const withSource = (ports: MigratePorts, source: Partial<MigratePorts["source"]>): MigratePorts => ({
  ...ports,
  source: { ...ports.source, ...source },
});

/** Goes on when the source is silent and its lease is old by the clock on the wall: nobody can have it any more. */
const oldMs = 10_000;
const leaseByWallClock: ChangePorts = (ports, { machine, store }) => {
  let isForged = false;
  const oldLease = async (signal: AbortSignal) => {
    const lease = (await ports.lease.read(signal))?.lease;
    const ageMs = machine.wallMs() - (store.lastModifiedMs(leaseKey(prefix)) ?? 0);
    return lease?.state === "running" && ageMs > oldMs ? lease : null;
  };
  return withSource(ports, {
    // Whoever lost the lease need not be asked to stop.
    async stop(command, signal) {
      if ((await oldLease(signal)) === null) await ports.source.stop(command, signal).catch(() => undefined);
    },
    async receipt(query, signal) {
      const lease = await oldLease(signal);
      if (lease === null) return ports.source.receipt(query, signal).catch(() => null);
      isForged = true;
      const { holder: placement, epoch, run } = lease;
      const receipt: Receipt = {
        ...blank,
        key: query.key,
        operation: lease.operation,
        placement,
        epoch,
        run,
      };
      return { receipt, jws: "" };
    },
    witness: async (signal) => (isForged ? seenDead : ports.source.witness(signal)),
  });
};

const blank: Omit<Receipt, "key" | "operation" | "placement" | "epoch" | "run"> = {
  version: 1,
  application,
  outcome: "graceful",
  evidenceClass: "proven",
  exit: null,
  signals: [],
  phases: [],
  timings: { receivedAt: moment, signalledAt: null, exitedAt: null, verifiedAt: null, stopMs: null },
  evidence: { treeGone: true, remaining: [], checks: [], bootId: "boot" },
  agentVersion: "0",
};
const seenDead = {
  state: "terminated",
  agentAlive: false,
  processes: [],
  detail: null,
  observedAt: "",
} as const;

/** Reads, compares and writes, instead of a conditional write that is the same until its end is certain (rule 7). */
const readBack: ChangePorts = (ports, { controlStore }) => ({
  ...ports,
  lease: {
    ...ports.lease,
    async apply(write, signal) {
      const { body, nonce, expectedEtag } = write;
      const before = await ports.lease.read(signal);
      if ((before?.etag ?? null) !== expectedEtag && before !== null && before.lease.nonce !== nonce)
        return { kind: "superseded", current: before };
      await controlStore.put({ key: leaseKey(prefix), body, timeoutMs: 5_000 }).catch(() => undefined);
      return { kind: "applied" };
    },
  },
});

/** This project as somebody else could have built it; each is found by what it breaks. */
export const brokenVariants = {
  "believes the agent and asks no witness": {
    breaks: /^P1/,
    changePorts: (ports) => withSource(ports, { witness: async () => seenDead }),
  },
  "does not wait for what the source had sent": {
    breaks: /^P1/,
    changePorts: (ports) => ({ ...ports, clock: { ...ports.clock, wait: async () => {} } }),
  },
  "calls a key fenced without taking it away": {
    breaks: /^P1/,
    changePorts: (ports) => ({
      ...ports,
      fence: ports.fence === null ? null : { ...ports.fence, apply: async (holder) => fenceOf(holder) },
    }),
  },
  "takes the age of the lease on the wall clock for evidence": {
    breaks: /^P[14]/,
    changePorts: leaseByWallClock,
  },
  "looks and then writes the lease": { breaks: /^(P1|rule 8)/, changePorts: readBack },
  "calls every end graceful": {
    breaks: /^P2/,
    changePorts: (ports) => {
      const graceful = ({ receipt, jws }: VerifiedReceipt): VerifiedReceipt => ({
        jws,
        receipt: { ...receipt, outcome: receipt.outcome === "refused" ? "refused" : "graceful" },
      });
      return withSource(ports, {
        verifyReceipt: async (jws) => graceful(await ports.source.verifyReceipt(jws)),
        receipt: async (query, signal) => {
          const seen = await ports.source.receipt(query, signal);
          return seen === null ? null : graceful(seen);
        },
      });
    },
  },
  "keeps no receipt": {
    breaks: /^P4/,
    changePorts: (ports) => ({ ...ports, records: { ...ports.records, saveReceipt: async () => {} } }),
  },
  "records no epoch before it is given": {
    breaks: /^rule 8/,
    changePorts: (ports) => ({ ...ports, records: { ...ports.records, raiseEpoch: async () => {} } }),
  },
  "lets a store acknowledge before fsync": { breaks: /^P[12]/, syncMs: { store: 2_000 } },
  "lets the database acknowledge before fsync": {
    breaks: /^(P\d|rule 8)/,
    syncMs: { database: 2_000 },
  },
} satisfies Record<string, Variant & { readonly breaks: RegExp }>;
