import {
  AppError,
  type FenceRecord,
  type Finding,
  type ReplicaRecord,
  type Run,
  usualStopPolicy,
} from "@baton/protocol";
import { type Lease, applyLeaseWrite, changeLease, leaseKey, readLease } from "@baton/storage";
import { createMemoryBucket, createTestClock } from "@baton/storage/testing";
import type {
  DeployInput,
  FencePort,
  MigratePorts,
  PlacementPort,
  ReplicaPort,
  VerifiedReceipt,
} from "../ports.ts";
import type { RecordedError } from "../engine.port.ts";
import type { PreflightFacts } from "../preflight/facts.ts";
import type { Progress, SagaEnd } from "../progress.port.ts";
import { receiptTopic } from "../source-steps.ts";
import { createFakeFence } from "./fake-fence.ts";
import { createFakeReplica } from "./fake-replica.ts";
import { lookThrough } from "./look-through.ts";
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
  replicaMs: 0,
  stop: usualStopPolicy,
  knownEpoch: 0,
  adoptedEpoch: 0,
};

/** Source, target, bucket and records in memory, with a witness of every moment at which two placements ran at once. */
export function createFakeWorld(params: { readonly beforeRequest?: () => void } = {}) {
  const bucket = createMemoryBucket(params);
  const store = bucket.open();
  const journal = createJournal();
  const running = new Set<string>();
  const overlaps: string[] = [];
  const replica = createFakeReplica(sourceId);
  const placement = (id: string, cluster: string) =>
    new FakePlacement({
      placement: id,
      cluster,
      owner,
      application,
      prefix,
      store,
      confirm: (_key, jws) => journal.messages.set(receiptTopic, jws),
      onRunning: (who, isRunning) => {
        if (isRunning) {
          running.add(who);
          replica.begin(who);
        } else running.delete(who);
        // What runs on with a key that was taken away writes nothing.
        const writers = [source, target].filter((one) => running.has(one.placement) && !isFenced(one));
        if (writers.length > 1) overlaps.push(writers.map((one) => one.placement).join(" and "));
      },
    });
  const isFenced = (one: FakePlacement): boolean =>
    world.ports.fence !== null && world.fence.disabled.has(`${one.placement} in epoch ${one.epoch}`);
  const source = placement(sourceId, "harbor-a");
  const target = placement(targetId, "harbor-b");

  const records = {
    epoch: 1,
    highest: 1,
    placement: sourceId as string | null,
    stopped: false,
    state: "open",
    retired: [] as string[],
    receipts: [] as VerifiedReceipt[],
    fences: [] as FenceRecord[],
    possibleLoss: false,
    replicas: [] as ReplicaRecord[],
  };
  const pivot = async (change: Partial<typeof records>): Promise<void> => {
    if (records.state === "rolling-back" || (records.state === "open" && world.wanted !== null))
      throw new AppError("wrong-state", "cannot commit: it is being taken back");
    Object.assign(records, { state: "past-pivot", ...change });
  };
  const fence = createFakeFence();
  const ports: Omit<MigratePorts, "fence" | "replica" | "target"> & {
    fence: FencePort | null;
    replica: ReplicaPort | null;
    target: PlacementPort;
  } = {
    fence: null,
    replica: null,
    source,
    target,
    clock: { now: () => new Date(0), wait: () => Promise.resolve() },
    lease: {
      owner,
      prefix,
      read: () => readLease({ store, prefix, timeoutMs: 1_000 }),
      claim: () => Promise.resolve(),
      apply: (write) => applyLeaseWrite({ store, write, deadlineMs: 1_000, clock: createTestClock() }),
    },
    preflight: {
      look: async (signal) => {
        const { aim, wasServing, wasStopped } = world;
        const kind = aim !== "move" ? aim : wasServing ? "migrate" : "deploy";
        const facts = await lookThrough(
          {
            kind,
            application,
            source: kind === "deploy" ? null : source,
            isResting: wasStopped || aim === "start",
            target: aim === "move" ? target : null,
            lease: world.ports.lease,
            highestEpoch: records.highest,
            hasFence: world.ports.fence !== null,
          },
          signal,
        );
        return world.disguise(facts);
      },
      keep: async (findings) => {
        world.findings = findings;
      },
    },
    records: {
      raiseEpoch: async (epoch) => {
        records.highest = Math.max(records.highest, epoch);
      },
      mark: () => Promise.resolve(),
      saveReceipt: async (receipt) => {
        records.receipts.push(receipt);
      },
      saveFence: async (record, possibleLoss) => {
        if (record !== null) records.fences.push(record);
        records.possibleLoss = possibleLoss;
      },
      saveReplica: async (record) => {
        records.replicas.push(record);
      },
      commit: (epoch) => pivot({ placement: world.ports.target.placement, epoch, stopped: false }),
      commitStop: () => pivot({ stopped: true }),
      commitDelete: () => pivot({ placement: null, stopped: false }),
      restore: async (epoch) => {
        records.epoch = Math.max(records.epoch, epoch);
      },
      retire: async (id) => {
        records.retired.push(id);
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
    interruption: () => Promise.resolve(world.wanted),
    halt: async ({ reason }) => {
      world.halts.push(reason.detail);
      ends.push({ state: "halted", reason });
      records.state = "halted";
    },
    goOn: async (direction) => {
      ends.pop();
      records.state = { forward: "open", back: "rolling-back", "past-pivot": "past-pivot" }[direction];
    },
    end: async (end) => {
      ends.push(end);
    },
  };
  /** The application serves on the source, as a deploy would have left it. */
  const serveOnSource = async (): Promise<void> => {
    world.wasServing = true;
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
  /** The application is stopped on the source, as a stop would have left it. */
  const restOnSource = async (): Promise<void> => {
    await serveOnSource();
    const { run, epoch } = source;
    const stop = { key: "earlier", run: run as Run, epoch, deadlineMs: 1 };
    await source.stop(stop, new AbortController().signal);
    records.stopped = true;
    world.wasServing = false;
    world.wasStopped = true;
  };
  /** Who was ever given which epoch, by what the bucket accepted. */
  const holders = (): ReadonlyMap<number, ReadonlySet<string>> => {
    const all = new Map<number, Set<string>>();
    for (const { method, key, body } of bucket.commits) {
      if (method !== "put" || key !== leaseKey(prefix)) continue;
      const { epoch, holder } = JSON.parse(body) as Lease;
      all.set(epoch, (all.get(epoch) ?? new Set()).add(holder));
    }
    return all;
  };
  const world = {
    bucket,
    holders,
    isFenced,
    /** Why somebody wants the operation taken back. */
    wanted: null as RecordedError | null,
    halts: [] as string[],
    /** What preflight found; null before it looked. */
    findings: null as readonly Finding[] | null,
    /** What a preflight shall see otherwise than it is. */
    disguise: (facts: PreflightFacts): PreflightFacts => facts,
    /** The application served on the source before the operation. */
    wasServing: false,
    /** It was stopped there. */
    wasStopped: false,
    /** What the operation is to bring about; for a start the source is the target. */
    aim: "move" as "move" | "stop" | "start" | "delete",
    /** Whose application the operation starts. */
    get starter(): FakePlacement {
      return world.aim === "start" ? source : target;
    },
    /** To be put into the ports where the storage shall have one. */
    fence,
    /** To be put into the ports where the endpoints shall be replicas. */
    replica,
    journal,
    ports,
    progress,
    ends,
    records,
    source,
    target,
    overlaps,
    running,
    /** The store answers so many writes with an error, longer than anybody tries. */
    failWrites: (count: number): void => {
      const fault = { kind: "error", code: "storage-unreachable" } as const;
      bucket.inject(...Array.from({ length: count }, () => fault));
    },
    /** Somebody else writes the lease, past every rule. */
    rewriteLease: async (fields: Partial<Lease>): Promise<void> => {
      const body = JSON.stringify({ ...world.lease(), nonce: "somebody-else", ...fields });
      await store.put({ key: leaseKey(prefix), body, timeoutMs: 1_000 });
    },
    removeLease: () => store.remove({ key: leaseKey(prefix), timeoutMs: 1_000 }),
    /** As it is in the bucket, whatever goes wrong with requests. */
    lease: (): Lease | null => {
      const object = bucket.objects.get(leaseKey(prefix));
      return object === undefined ? null : (JSON.parse(Buffer.from(object.body).toString()) as Lease);
    },
    serveOnSource,
    restOnSource,
  };
  return world;
}

export type FakeWorld = ReturnType<typeof createFakeWorld>;
