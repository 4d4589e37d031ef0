import {
  type DeployInput,
  type SagaEnd,
  deleteServing,
  deleteStopped,
  deploy,
  migrate,
  migrateCold,
  noFaults,
  runSaga,
  start,
  stop,
} from "@baton/migration";
import { type OperationRow, type Tables, rowOf, withRow } from "./database.ts";
import { Replaced, createEngine } from "./durable-engine.ts";
import { application, operationId, placementId } from "./names.ts";
import { openPorts } from "./operation-ports.ts";
import type { OrchestratorDeps } from "./orchestrator-deps.ts";
import { createProgress } from "./operation-progress.ts";
import type { Wish } from "./wish.ts";
import { inFlightMs } from "./store.ts";

const takeOverAfterMs = 15_000;
const aliveEveryMs = 4_000;

/** One life of an orchestrator: works on the open operation, or on the one of another orchestrator that is silent, and begins the next. */
export function startOrchestrator(deps: OrchestratorDeps): void {
  work(deps).catch((error: unknown) => deps.oracle.broken(`${deps.machine.name} ended: ${String(error)}`));
}

async function work(deps: OrchestratorDeps): Promise<void> {
  const { machine, database, random, scheduler, sights, note } = deps;
  const { clock } = machine;
  for (;;) {
    const open = database.tables.operations.find(({ end }) => end === null);
    if (open === undefined) {
      const isFirst = database.tables.operations.length === 0;
      await clock.sleep(isFirst ? 10 : random.between(2_000, 8_000));
      await database.transact(machine, (tables) => [withNext(deps, tables), null]);
    } else if (open.worker === machine.name) {
      const beat = keepAlive(deps, open.id);
      try {
        await run(deps, open);
      } catch (error) {
        if (!(error instanceof Replaced)) throw error;
        sights.see("work of an orchestrator that was replaced");
        note(`${machine.name}: ${open.id} is another one's`);
        await clock.sleep(1_000);
      } finally {
        beat.end();
      }
    } else if (scheduler.nowMs() - open.aliveAtMs > takeOverAfterMs) {
      await database.transact(machine, (tables) => {
        const { aliveAtMs, end } = rowOf(tables, open.id);
        if (aliveAtMs !== open.aliveAtMs || end !== null) return [tables, null];
        sights.see("orchestrator takes over");
        note(`${machine.name} takes over ${open.id}`);
        return [withRow(tables, open.id, { worker: machine.name, aliveAtMs: scheduler.nowMs() }), null];
      });
    } else await clock.sleep(3_000);
  }
}

/** Whoever is paused does not know it, and goes on with what he had in mind. */
function keepAlive({ machine, database, scheduler }: OrchestratorDeps, id: string): { end(): void } {
  let cancel = (): void => {};
  const beat = (): void => {
    cancel = machine.timer(aliveEveryMs, "is alive", () => {
      void database.transact(machine, (tables) => {
        const isMine = rowOf(tables, id).worker === machine.name;
        return [isMine ? withRow(tables, id, { aliveAtMs: scheduler.nowMs() }) : tables, null];
      });
      beat();
    });
  };
  beat();
  return { end: () => cancel() };
}

/** The next wish that can be one, for where the application is now. */
export function nextWish({ operations, placement, isServing }: Tables, wishes: readonly Wish[]): Wish | null {
  const wish = wishes[operations.length];
  const [last] = operations.slice(-1);
  if (wish === undefined || (last !== undefined && last.end === null)) return null;
  if (placement === null) return last === undefined ? wish : null;
  if (isServing) return wish.kind === "start" ? { ...wish, kind: "migrate" } : wish;
  return wish.kind === "delete" ? wish : { ...wish, kind: "start" };
}

function withNext({ machine, scheduler, wishes }: OrchestratorDeps, tables: Tables): Tables {
  const wish = nextWish(tables, wishes);
  if (wish === null) return tables;
  const { operations, placement, isServing: wasServing, highestEpoch } = tables;
  const number = operations.length + 1;
  const { kind } = wish;
  const makes = kind === "deploy" || kind === "migrate";
  const row: OperationRow = {
    id: operationId(number),
    wish,
    kind,
    source: kind === "start" ? null : placement,
    target: kind === "start" ? placement : makes ? placementId(number) : null,
    wasServing,
    knownEpoch: highestEpoch,
    worker: machine.name,
    aliveAtMs: scheduler.nowMs(),
    term: 0,
    state: "forward",
    halt: null,
    decisions: [],
    isAborted: false,
    end: null,
    receipts: [],
    fences: [],
    possibleLoss: false,
  };
  return { ...tables, operations: [...operations, row] };
}

/** One life of an operation. Stands for `operation-engine.ts` and `operation-life.ts`. */
async function run(
  deps: OrchestratorDeps,
  { id, wish, wasServing, knownEpoch }: OperationRow,
): Promise<SagaEnd> {
  const { machine, database } = deps;
  const term = await database.transact(machine, (tables) => {
    const { term: before, worker } = rowOf(tables, id);
    // Somebody took over while this one was on its way here.
    if (worker !== machine.name) return [tables, null];
    return [withRow(tables, id, { term: before + 1 }), before + 1];
  });
  if (term === null) throw new Replaced(id);
  const input: DeployInput = {
    application,
    graceMs: 5_000,
    readyTimeoutMs: 10_000,
    verify: { method: "POST", path: "/canary", timeoutMs: 5_000 },
    settleMs: inFlightMs + 1_000,
    replicaMs: 0,
    stop: wish.stop,
    knownEpoch,
    adoptedEpoch: 0,
  };
  const common = {
    operation: id,
    input,
    ports: openPorts(deps, id, term),
    engine: createEngine(deps, id, term),
    progress: createProgress(deps, id, term),
    faults: noFaults,
  };
  switch (wish.kind) {
    case "deploy":
      return runSaga({ saga: deploy, ...common });
    case "migrate":
      return runSaga({ saga: wish.isCold ? migrateCold : migrate, ...common });
    case "stop":
      return runSaga({ saga: stop, ...common });
    case "start":
      return runSaga({ saga: start, ...common });
    case "delete":
      return runSaga({ saga: wasServing ? deleteServing : deleteStopped, ...common });
  }
}
