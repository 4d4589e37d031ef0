import { type Receipt, type Run, formatRun } from "@baton/protocol";
import { type Lease, leaseKey } from "@baton/storage";
import { forbidden } from "@baton/storage/simulation";
import { type Database, type OperationRow } from "./database.ts";
import type { Sights } from "./sights.ts";
import { type DataKey, type SimulatedStore, nameOfKey } from "./store.ts";
import { prefix } from "./names.ts";

/** A promise of DESIGN.md that was broken. */
export class BrokenPromise extends Error {
  override readonly name = "BrokenPromise";
}

/** One run of the application as it is in truth, whatever agents and clusters say of it. */
interface Writer {
  readonly run: Run;
  readonly epoch: number;
}

/** Judges by what the store took, the database holds and the processes did; nobody in the simulation can ask it. */
export interface Oracle {
  /** After every event. @throws BrokenPromise */
  check(): void;
  broken(promise: string): void;
  /** What the store took. */
  wrote(key: string, body: string, by: DataKey | null): void;
  /** The store forgot what it had not on its disk. */
  storeLost(): void;
  began(writer: Writer): void;
  /** Its last process is gone. */
  gone(run: Run): void;
  /** A client was told that this entry is safe. */
  acknowledged(run: Run, entry: number): void;
  /** The agent has this receipt on its disk. */
  confirmed(receipt: Receipt): void;
  /** How many runs have a process that lives. */
  readonly living: number;
}

const wasAnsweredFor = ({ decisions }: OperationRow): boolean =>
  decisions.some(({ kind }) => kind === "override");

const ended: readonly Receipt["outcome"][] = [
  "graceful",
  "forced",
  "already-stopped",
  "crashed-during-stop",
  "never-started",
];

export function createOracle(params: {
  readonly store: () => SimulatedStore;
  readonly database: Database;
  readonly sights: Sights;
}): Oracle {
  const { database, sights } = params;
  const living = new Map<string, Writer>();
  /** By run, with what of it is in the store. */
  const acknowledged = new Map<string, Set<number>>();
  const stored = new Map<number, string>();
  const receipts = new Set<string>();
  const lastRun = new Map<string, string>();
  const judged = new Set<string>();
  let lease: Lease | null = null;
  let highestRunning = 0;
  let seen = database.tables;
  let found: BrokenPromise | null = null;

  const broken = (promise: string): void => {
    found ??= new BrokenPromise(promise);
  };
  const canWrite = ({ run, epoch }: Writer): boolean =>
    !params.store().isDisabled({ placement: run.placement, epoch });
  const lossOf = (run: string): number =>
    [...(acknowledged.get(run) ?? [])].filter((entry) => !stored.has(entry)).length;

  const judgeLease = (after: Lease): void => {
    const before = lease;
    lease = after;
    const why = forbidden(before, after);
    if (why !== null) broken(`P1: ${why}`);
    if (after.epoch > database.tables.highestEpoch)
      broken(`rule 8: the lease has epoch ${after.epoch}, the records know ${database.tables.highestEpoch}`);
    if (before === null || after.epoch === before.epoch || before.run === null) return;
    sights.see(after.holder === before.holder ? "lease given back" : "handover");
    const key = nameOfKey({ placement: before.holder, epoch: before.epoch });
    const { operations } = database.tables;
    const isFenced = operations.some(({ fences }) => fences.includes(key));
    // A start follows what ended by itself too, of which its agent told the lease.
    const isStart = operations.at(-1)?.kind === "start" && before.state === "stopped";
    if (!isFenced && !isStart && !operations.some(wasAnsweredFor) && !receipts.has(formatRun(before.run)))
      broken(`P4: epoch ${after.epoch} was given without a receipt of ${formatRun(before.run)} and a fence`);
  };

  const judgeCommit = (row: OperationRow): void => {
    const { id, source, receipts: known, fences, possibleLoss, wasServing } = row;
    if (source === null || !wasServing || judged.has(id)) return;
    judged.add(id);
    if (known.length === 0 && fences.length === 0 && !wasAnsweredFor(row))
      broken(`P4: ${id} committed with neither a receipt nor a fence in its record`);
    if (possibleLoss) sights.see("possible loss");
    const lost = lossOf(lastRun.get(source) ?? "");
    if (lost > 0 && !possibleLoss) broken(`P2: ${id} committed, and ${lost} acknowledged entries are lost`);
  };

  return {
    broken,
    get living() {
      return living.size;
    },
    check() {
      const { tables } = database;
      if (tables !== seen) {
        seen = tables;
        for (const row of tables.operations) if (row.state === "past-pivot") judgeCommit(row);
      }
      if (found !== null) throw found;
    },
    wrote(key, body, by) {
      if (key === leaseKey(prefix)) judgeLease(JSON.parse(body) as Lease);
      if (by === null) return;
      if (by.epoch < highestRunning)
        broken(`P1: ${nameOfKey(by)} wrote after epoch ${highestRunning} had begun to run`);
      for (const entry of JSON.parse(body) as number[]) stored.set(entry, key);
    },
    storeLost() {
      const { objects } = params.store();
      const lost = [...stored.values()].filter((key) => objects[key] === undefined);
      if (lost.length > 0) broken(`P2: the store lost ${lost.length} entries that it had taken`);
    },
    began(writer) {
      const { run, epoch } = writer;
      for (const other of living.values())
        if (canWrite(other))
          broken(`P1: ${formatRun(run)} began while ${formatRun(other.run)} could still write`);
        else sights.see("fenced run alive beside its successor");
      living.set(formatRun(run), writer);
      lastRun.set(run.placement, formatRun(run));
      highestRunning = Math.max(highestRunning, epoch);
    },
    gone: (run) => void living.delete(formatRun(run)),
    acknowledged(run, entry) {
      const entries = acknowledged.get(formatRun(run)) ?? new Set();
      acknowledged.set(formatRun(run), entries.add(entry));
    },
    confirmed({ run, outcome, evidenceClass }) {
      if (run === null) return;
      const name = formatRun(run);
      if (evidenceClass === "proven" && ended.includes(outcome)) receipts.add(name);
      if (outcome === "graceful" && lossOf(name) > 0)
        broken(
          `P2: the stop of ${name} is called graceful, and ${lossOf(name)} acknowledged entries are lost`,
        );
    },
  };
}
