import type { FencePort, KeyHolder, LeasePort, MigratePorts, RecordsPort } from "@baton/migration";
import { AppError, type FenceRecord } from "@baton/protocol";
import { lookThrough } from "@baton/migration/testing";
import { applyLeaseWrite, readLease } from "@baton/storage";
import { type OperationRow, type Tables, rowOf, withRow } from "./database.ts";
import { Replaced, transactAs } from "./durable-engine.ts";
import { application, moment, owner, prefix } from "./names.ts";
import type { OrchestratorDeps } from "./orchestrator-deps.ts";
import { createPlacementPort } from "./placement-port.ts";
import { inFlightMs, nameOfKey } from "./store.ts";

const requestMs = 5_000;
const disableMs = 30_000;

/** Everything that the saga of one operation may touch, for one life of it. Stands for `operation-ports.ts` and what it opens. */
export function openPorts(deps: OrchestratorDeps, id: string, term: number): MigratePorts {
  const { database, machine, hasFence, siteOfPlacement } = deps;
  const { source, target } = rowOf(database.tables, id);
  const place = (placement: string) =>
    createPlacementPort({ ...deps, site: siteOfPlacement(placement), placement, operation: id, term });
  const somewhere = source ?? target ?? "";
  const places = { source: place(somewhere), target: place(target ?? somewhere) };
  const ports = deps.changePorts(
    {
      ...places,
      lease: leasePort(deps),
      records: recordsPort(deps, id, term),
      fence: hasFence ? fencePort(deps) : null,
      replica: null,
      preflight: preflightPort(deps, id, places),
      clock: {
        now: () => new Date(0),
        wait: async (ms, signal) => {
          await machine.clock.sleep(ms);
          signal.throwIfAborted();
        },
      },
    },
    deps,
  );
  const admit = <T extends object>(port: T): T =>
    new Proxy(port, {
      get(of, name) {
        const member: unknown = Reflect.get(of, name);
        if (typeof member !== "function") return member;
        return async (...given: unknown[]): Promise<unknown> => {
          if (rowOf(database.tables, id).term !== term) throw new Replaced(id);
          return Reflect.apply(member, of, given);
        };
      },
    });
  return {
    clock: ports.clock,
    replica: ports.replica,
    preflight: ports.preflight,
    source: admit(ports.source),
    target: admit(ports.target),
    lease: admit(ports.lease),
    records: admit(ports.records),
    fence: ports.fence === null ? null : admit(ports.fence),
  };
}

/** What is seen through the ports themselves; all else is well in this world. */
function preflightPort(deps: OrchestratorDeps, id: string, places: Places): MigratePorts["preflight"] {
  const { database, hasFence } = deps;
  return {
    keep: () => Promise.resolve(),
    look: (signal) => {
      const { kind, source, wasServing } = rowOf(database.tables, id);
      const isStart = kind === "start";
      return lookThrough(
        {
          kind,
          application,
          source: source === null && !isStart ? null : places.source,
          isResting: isStart || (kind === "delete" && !wasServing),
          target: kind === "deploy" || kind === "migrate" ? places.target : null,
          lease: leasePort(deps),
          highestEpoch: database.tables.highestEpoch,
          hasFence,
        },
        signal,
      );
    },
  };
}

type Places = Pick<MigratePorts, "source" | "target">;

function leasePort({ machine, controlStore }: OrchestratorDeps): LeasePort {
  return {
    owner,
    prefix,
    read: () => readLease({ store: controlStore, prefix, timeoutMs: requestMs }),
    claim: () => Promise.resolve(),
    apply: (write) =>
      applyLeaseWrite({ store: controlStore, write, deadlineMs: 15_000, clock: machine.clock }),
  };
}

function recordsPort(deps: OrchestratorDeps, id: string, term: number): RecordsPort {
  const life = { operation: id, term };
  const change = (next: (tables: Tables, row: OperationRow) => Tables): Promise<void> =>
    transactAs(deps, life, (tables) => [next(tables, rowOf(tables, id)), undefined]);
  /** The row decides between the pivot and the way back (safety rule 15). */
  const pivot = async (changes: (row: OperationRow) => Partial<Tables>): Promise<void> => {
    const isDone = await transactAs(deps, life, (tables) => {
      const row = rowOf(tables, id);
      if (row.state !== "past-pivot" && (row.state === "back" || row.isAborted)) return [tables, false];
      return [{ ...withRow(tables, id, { state: "past-pivot" }), ...changes(row) }, true];
    });
    if (!isDone) throw new AppError("wrong-state", `cannot commit ${id}: it is being taken back`);
  };
  return {
    mark: () => Promise.resolve(),
    raiseEpoch: (epoch) =>
      change((tables) => ({ ...tables, highestEpoch: Math.max(tables.highestEpoch, epoch) })),
    saveReceipt: (receipt) =>
      change((tables, { receipts }) =>
        receipts.some(({ jws }) => jws === receipt.jws)
          ? tables
          : withRow(tables, id, { receipts: [...receipts, receipt] }),
      ),
    saveFence: (fence, possibleLoss) =>
      change((tables, { fences }) =>
        withRow(tables, id, {
          fences: fence?.key ? [...new Set([...fences, fence.key.identity])] : fences,
          possibleLoss,
        }),
      ),
    commit: (epoch) => pivot(({ target }) => ({ epoch, placement: target, isServing: true })),
    commitStop: () => pivot(() => ({ isServing: false })),
    commitDelete: () => pivot(() => ({ isServing: false, placement: null })),
    restore: (epoch) => change((tables) => ({ ...tables, epoch: Math.max(tables.epoch, epoch) })),
    retire: () => Promise.resolve(),
    saveReplica: () => Promise.resolve(),
  };
}

function fencePort({ machine, store, storeApi, asking }: OrchestratorDeps): FencePort {
  const { clock } = machine;
  const disable = async (holder: KeyHolder): Promise<void> => {
    for (const endMs = clock.nowMs() + disableMs; clock.nowMs() < endMs; await clock.sleep(500)) {
      const order = async (): Promise<void> => store.disable(holder);
      if ((await asking(machine, storeApi, "disable", requestMs, order)) !== null) return;
    }
    throw new AppError("storage-unreachable", `cannot disable the key of ${nameOfKey(holder)}`);
  };
  return {
    assertOpen: async (holder) => {
      const look = async (): Promise<boolean> => !store.isDisabled(holder);
      if ((await asking(machine, storeApi, "door", requestMs, look))?.value !== true)
        throw new AppError("fence-unproven", `cannot see the key of ${nameOfKey(holder)} let in`);
    },
    apply: async (holder, signal) => {
      await disable(holder);
      await clock.sleep(2 * inFlightMs + 1_000);
      signal.throwIfAborted();
      return fenceOf(holder);
    },
    disable,
  };
}

/** Nothing of it counts here but whose key was taken away. */
export const fenceOf = (holder: KeyHolder): FenceRecord => ({
  key: {
    identity: nameOfKey(holder),
    disabledAt: moment,
    denied: [],
    settleMs: 2 * inFlightMs,
    uploads: { aborted: 0, complete: true },
    inventory: { objects: 0, bytes: 0, digest: "" },
  },
  role: null,
});
