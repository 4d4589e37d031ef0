import { type Run, formatRun, sameRun } from "@baton/protocol";
import { type Rule, unseen, valueOf } from "./rule.ts";

/** Epochs are kept in 4 bytes. */
const lastEpochs = 2_000_000_000;

/** The lease against the records and the agent. */
export const leaseRules: readonly Rule[] = [
  {
    id: "lease-unreadable",
    severity: "blocking",
    means: "nobody knows who may write",
    fix: "bring the storage up, and look into the bucket",
    check: ({ storage }) => unseen(storage.lease, "the lease cannot be read"),
  },
  {
    id: "lease-missing",
    severity: "blocking",
    means: "a known lease never goes away by itself: the bucket was emptied, or is another one",
    fix: "find out what happened to the bucket",
    check: ({ records, source, storage }) =>
      valueOf(storage.lease) === null && (source !== null || records.highestEpoch > 1)
        ? `the lease, known with epoch ${records.highestEpoch}, is not in the bucket`
        : null,
  },
  {
    id: "lease-foreign",
    severity: "blocking",
    means: "another installation or application writes below this prefix",
    fix: "choose another prefix, or end the other writer first",
    check: ({ records: { owner, manifest }, storage }) => {
      const lease = valueOf(storage.lease) ?? null;
      return lease !== null && (lease.owner !== owner || lease.application !== manifest.name)
        ? `the lease is ${lease.application}'s and belongs to ${lease.owner}`
        : null;
    },
  },
  {
    id: "lease-holder",
    severity: "blocking",
    means: "whoever holds the lease may be writing, and it is not the placement that serves by the records",
    fix: "find out who changed the lease",
    check: ({ source, storage }) => {
      const lease = valueOf(storage.lease) ?? null;
      return lease !== null && source !== null && lease.holder !== source.placement
        ? `the lease is held by ${lease.holder}, not by ${source.placement}`
        : null;
    },
  },
  {
    id: "lease-not-running",
    severity: "blocking",
    means: "the lease does not say that the source runs",
    fix: "find out what became of its last run",
    check: ({ source, storage }) => {
      const lease = valueOf(storage.lease) ?? null;
      return lease !== null && source?.expected === "serving" && lease.state !== "running"
        ? `the lease is ${lease.state}`
        : null;
    },
  },
  {
    id: "lease-not-stopped",
    severity: "blocking",
    means: "the lease does not say that the last run has ended",
    fix: "find out what became of it",
    check: ({ source, storage }) => {
      const lease = valueOf(storage.lease) ?? null;
      return lease !== null && source?.expected === "resting" && lease.state !== "stopped"
        ? `the lease is ${lease.state}`
        : null;
    },
  },
  {
    id: "lease-held",
    severity: "blocking",
    means: "whoever holds it may be alive and write",
    fix: "stop what holds it, or fence it",
    check: ({ records, source, storage }) => {
      const lease = valueOf(storage.lease) ?? null;
      const isAdopted = lease?.state === "fenced" && lease.epoch === records.adoptedEpoch;
      return lease !== null && source === null && lease.state !== "stopped" && !isAdopted
        ? `the lease is ${lease.state}, held by ${lease.holder}`
        : null;
    },
  },
  {
    id: "lease-epoch",
    severity: "blocking",
    means: "the agent would refuse to be stopped, or somebody else has the lease",
    fix: "find out who changed the lease",
    check: ({ source, storage }) => {
      const lease = valueOf(storage.lease) ?? null;
      const status = source?.expected === "serving" ? valueOf(source.status) : undefined;
      return lease !== null && status !== undefined && lease.epoch !== status.epoch
        ? `the lease is in epoch ${lease.epoch}, the agent in epoch ${status.epoch}`
        : null;
    },
  },
  {
    id: "lease-run",
    severity: "blocking",
    means: "the receipt of the one run would not free the lease of the other",
    fix: "find out who started the application",
    check: ({ source, storage }) => {
      const lease = valueOf(storage.lease) ?? null;
      const status = source?.expected === "serving" ? valueOf(source.status) : undefined;
      return lease !== null && status !== undefined && !sameRun(lease.run, status.run)
        ? `the lease names ${named(lease.run)}, the agent ${named(status.run)}`
        : null;
    },
  },
  {
    id: "lease-newer",
    severity: "blocking",
    means: "the records are older than the lease: the database was put back",
    fix: "bring the newer database up, or take the lease over by hand",
    check: ({ records, storage }) => {
      const lease = valueOf(storage.lease) ?? null;
      return lease !== null && lease.epoch > records.highestEpoch
        ? `the lease is in epoch ${lease.epoch}, the records know only ${records.highestEpoch}`
        : null;
    },
  },
  {
    id: "lease-older",
    severity: "blocking",
    means: "the bucket was put back, and data with it",
    fix: "find out what happened to the bucket",
    check: ({ records, storage }) => {
      const lease = valueOf(storage.lease) ?? null;
      return lease !== null && lease.epoch < records.epoch
        ? `the lease is in epoch ${lease.epoch}, though ${records.epoch} was written`
        : null;
    },
  },
  {
    id: "epochs-running-out",
    severity: "warning",
    means: "an epoch only grows, and there are not many left",
    fix: "find out what changes the holder so often",
    check: ({ records }) =>
      records.highestEpoch >= lastEpochs ? `epoch ${records.highestEpoch} is in use` : null,
  },
];

const named = (run: Run | null): string => (run === null ? "no run" : `run ${formatRun(run)}`);
