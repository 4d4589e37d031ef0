import { type LeaseView, applyLeaseWrite, changeLease, readLease } from "@baton/storage";
import { createMemoryBucket } from "@baton/storage/testing";
import type { DeployInput, MigratePorts } from "../ports.ts";
import type { Progress, SagaEnd } from "../progress.port.ts";
import { receiptTopic } from "../source-steps.ts";
import { FakePlacement } from "./fake-placement.ts";
import { createJournal } from "./memory-engine.ts";

export const sourceId = "pl-00000000000000000001";
export const targetId = "pl-00000000000000000002";
export const operationId = "op-00000000000000000000";
const owner = "installation/ledger";
const prefix = "ledger/";
const application = "ledger";

export const input: DeployInput = {
  application,
  graceMs: 1_000,
  readyTimeoutMs: 1_000,
  verify: null,
  settleMs: 0,
  knownEpoch: 0,
};

/** Source, target, bucket and records in memory, with a witness of every moment at which two placements ran at once. */
export function createFakeWorld() {
  const bucket = createMemoryBucket();
  const store = bucket.open();
  const journal = createJournal();
  const running = new Set<string>();
  const overlaps: string[] = [];
  const placement = (id: string, cluster: string) =>
    new FakePlacement({
      placement: id,
      cluster,
      owner,
      application,
      prefix,
      store,
      confirm: (key, jws) => journal.messages.set(receiptTopic(key), jws),
      onRunning: (who, isRunning) => {
        if (isRunning) running.add(who);
        else running.delete(who);
        if (running.size > 1) overlaps.push([...running].join(" and "));
      },
    });
  const source = placement(sourceId, "harbor-a");
  const target = placement(targetId, "harbor-b");

  const records = {
    epoch: 1,
    highest: 1,
    placement: sourceId as string | null,
    state: "open",
    retired: [] as string[],
  };
  const lease = () => readLease({ store, prefix, timeoutMs: 1_000 });
  const ports: MigratePorts = {
    source,
    target,
    clock: { now: () => new Date(0), wait: () => Promise.resolve() },
    lease: {
      owner,
      prefix,
      read: lease,
      claim: () => Promise.resolve(),
      apply: (write) => applyLeaseWrite({ store, write, deadlineMs: 1_000 }),
      probe: () => Promise.resolve({ testedAt: "1970-01-01T00:00:00.000Z", tests: [] }),
    },
    records: {
      raiseEpoch: async (epoch) => {
        records.highest = Math.max(records.highest, epoch);
      },
      mark: () => Promise.resolve(),
      saveReceipt: () => Promise.resolve(),
      commit: async (epoch) => {
        if (records.state !== "open" && records.state !== "past-pivot")
          throw new Error(`cannot commit: ${records.state}`);
        Object.assign(records, { state: "past-pivot", placement: targetId, epoch });
      },
      restore: async (epoch) => {
        records.epoch = Math.max(records.epoch, epoch);
      },
      retire: async (id) => {
        if (!records.retired.includes(id)) records.retired.push(id);
      },
    },
  };
  const ends: SagaEnd[] = [];
  const progress: Progress = {
    step: () => Promise.resolve(),
    beginRollback: async () => {
      if (records.state === "past-pivot") return "committed";
      records.state = "rolling-back";
      return "rolling-back";
    },
    end: async (end) => {
      ends.push(end);
    },
  };
  /** The application serves on the source, as a deploy would have left it. */
  const serveOnSource = async (): Promise<void> => {
    await source.place();
    const grant = "first";
    await changeLease({
      store,
      prefix,
      change: { kind: "create", owner, application, prefix, holder: sourceId, grant, operation: operationId },
      deadlineMs: 1_000,
    });
    const { run } = await source.start(
      { key: "first", epoch: 1, grant, deadlineMs: 1_000 },
      new AbortController().signal,
    );
    await source.open({ epoch: 1, run }, new AbortController().signal);
  };
  return {
    bucket,
    journal,
    ports,
    progress,
    ends,
    records,
    source,
    target,
    overlaps,
    running,
    lease: lease as () => Promise<LeaseView | null>,
    serveOnSource,
  };
}

export type FakeWorld = ReturnType<typeof createFakeWorld>;
