import type { Direction, SagaEnd, VerifiedReceipt } from "@baton/migration";
import type { Decision } from "@baton/protocol";
import type { Machine, Random, Scheduler } from "@baton/storage/simulation";
import { createDisk } from "./disk.ts";
import type { Wish } from "./wish.ts";

export interface OperationRow {
  readonly id: string;
  readonly wish: Wish;
  readonly kind: Wish["kind"];
  readonly source: string | null;
  readonly target: string | null;
  /** When it began. */
  readonly wasServing: boolean;
  readonly knownEpoch: number;
  /** Who works on it, and when it said so last; each life of it has a term of its own. */
  readonly worker: string;
  readonly aliveAtMs: number;
  readonly term: number;
  /** Where it goes, also while it is halted. */
  readonly state: Direction;
  readonly halt: { readonly number: number; readonly reason: string } | null;
  readonly decisions: readonly Decision[];
  readonly isAborted: boolean;
  readonly end: SagaEnd | null;
  readonly receipts: readonly VerifiedReceipt[];
  /** Placements and epochs whose key was taken away with proof. */
  readonly fences: readonly string[];
  readonly possibleLoss: boolean;
}

export interface Tables {
  readonly operations: readonly OperationRow[];
  /** By operation and name: what the engine recorded. */
  readonly journal: Readonly<Record<string, string>>;
  /** By operation and topic, as JSON, oldest first; and how many of them were received. */
  readonly messages: Readonly<Record<string, readonly string[]>>;
  readonly received: Readonly<Record<string, number>>;
  readonly placement: string | null;
  /** Whether the placement is to serve; false once it was stopped. */
  readonly isServing: boolean;
  readonly epoch: number;
  readonly highestEpoch: number;
}

/** One database for all orchestrators; a transaction is taken whole or not at all, and its answer may not be heard. */
export interface Database {
  readonly tables: Tables;
  transact<T>(machine: Machine, change: (tables: Tables) => readonly [Tables, T]): Promise<T>;
  powerCut(): void;
}

const empty: Tables = {
  operations: [],
  journal: {},
  messages: {},
  received: {},
  placement: null,
  isServing: false,
  epoch: 0,
  highestEpoch: 0,
};

export function createDatabase(params: {
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly syncMs: () => number;
}): Database {
  const { scheduler, random } = params;
  const disk = createDisk({ initial: empty, ...params });
  return {
    get tables() {
      return disk.content;
    },
    transact: (machine, change) => {
      const { life } = machine;
      return new Promise((resolve) => {
        scheduler.after(random.between(0, 10), "a transaction", () => {
          const [next, result] = change(disk.content);
          if (next !== disk.content) disk.write(next);
          machine.deliver(random.between(0, 10), "its answer", () => resolve(result), life);
        });
      });
    },
    powerCut: () => disk.powerCut(),
  };
}

export const rowOf = (tables: Tables, id: string): OperationRow => {
  const row = tables.operations.find((one) => one.id === id);
  if (row === undefined) throw new Error(`there is no operation ${id}`);
  return row;
};

export const withRow = (tables: Tables, id: string, change: Partial<OperationRow>): Tables => ({
  ...tables,
  operations: tables.operations.map((row) => (row.id === id ? { ...row, ...change } : row)),
});

export const withMessage = (tables: Tables, topic: string, message: unknown): Tables => {
  const text = JSON.stringify(message);
  const before = tables.messages[topic] ?? [];
  if (before.includes(text)) return tables;
  return { ...tables, messages: { ...tables.messages, [topic]: [...before, text] } };
};
