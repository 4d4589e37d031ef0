import { type Progress, receiptTopic } from "@baton/migration";
import type { Receipt } from "@baton/protocol";
import type { Machine } from "@baton/storage/simulation";
import { type Database, type Tables, rowOf, withMessage, withRow } from "./database.ts";
import { transactAs } from "./durable-engine.ts";
import type { OrchestratorDeps } from "./orchestrator-deps.ts";

/** A receipt that an agent sends by itself. Stands for `confirm-receipt.ts`. */
export const takeReceipt = (database: Database, machine: Machine, receipt: Receipt): Promise<boolean> =>
  database.transact(machine, (tables) => {
    const { operation } = receipt;
    const row = tables.operations.find(({ id }) => id === operation);
    if (row === undefined || row.end !== null) return [tables, true];
    return [withMessage(tables, `${operation} ${receiptTopic}`, JSON.stringify(receipt)), true];
  });

/** Stands for `operation-progress.ts` and the rows behind it. */
export function createProgress(deps: OrchestratorDeps, id: string, term: number): Progress {
  const { database, oracle, sights, note, onHalt } = deps;
  const transact = <T>(change: (tables: Tables) => readonly [Tables, T]): Promise<T> =>
    transactAs(deps, { operation: id, term }, change);
  return {
    step: () => Promise.resolve(),
    beginRollback: () =>
      transact((tables) => {
        if (rowOf(tables, id).state === "past-pivot") return [tables, "committed"];
        return [withRow(tables, id, { state: "back" }), "rolling-back"];
      }),
    interruption: async () => {
      const { isAborted, state } = rowOf(database.tables, id);
      return isAborted && state === "forward"
        ? { code: "aborted", detail: "somebody had it taken back" }
        : null;
    },
    halt: async ({ number, reason }) => {
      const isNew = await transact((tables) => {
        const { halt, decisions } = rowOf(tables, id);
        if (halt?.number === number || decisions.length >= number) return [tables, false];
        return [withRow(tables, id, { halt: { number, reason: reason.detail } }), true];
      });
      if (!isNew) return;
      sights.see("halt");
      note(`${id} halted: ${reason.detail}`);
      onHalt(id);
    },
    goOn: async (direction) => {
      note(`${id} goes on: ${direction}`);
      await transact((tables) => [withRow(tables, id, { halt: null, state: direction }), null]);
    },
    end: async (end) => {
      await transact((tables) => {
        const { end: before } = rowOf(tables, id);
        if (before !== null && before.state !== end.state)
          oracle.broken(`P3: ${id} ended ${before.state}, and then ${end.state}`);
        if (before === null)
          note(`${id} ended ${end.state}${"reason" in end ? `: ${end.reason.detail}` : ""}`);
        return [withRow(tables, id, { end }), null];
      });
    },
  };
}
