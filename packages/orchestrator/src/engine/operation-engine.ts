import { DBOS, DBOSWorkflowConflictError } from "@dbos-inc/dbos-sdk";
import { DBOSExecutor } from "@dbos-inc/dbos-sdk/internal/dbos-executor";
import { type Faults, decisionTopic, receiptTopic } from "@baton/migration";
import type { Logger } from "pino";
import type { OperationPorts } from "../ports/operation-ports.ts";
import { type Database, openPool, withMigrationLock } from "../records/database.ts";
import type { RecordedDecision } from "../records/decisions.ts";
import type { OperationRecords } from "../records/operation-records.ts";
import { isKnown, readSagaRow } from "../records/saga-tables.ts";
import { createDbosEngine } from "./dbos-engine.ts";
import { endContradicted } from "./end-contradicted.ts";
import type { LeaseGate } from "./reconcile-leases.ts";
import { createProgress } from "./operation-progress.ts";
import { type Life, live } from "./operation-life.ts";
import { type Replica, joinReplicas } from "./replica.ts";
import { runTable } from "./run-table.ts";
import { claimWorkflows, sagaVersion } from "./saga-version.ts";

const poolSize = 10;
const connectMs = 10_000;
const idleTransactionMs = 60_000;

export interface OperationEngineParams {
  readonly database: Database;
  readonly databaseUrl: string;
  readonly records: OperationRecords;
  /** The ports of one operation, resolved from its row, for one life of it. */
  readonly ports: (operation: string, life: Life) => Promise<OperationPorts>;
  readonly faults: (kind: string) => Faults;
  readonly reconciled: LeaseGate;
  readonly log: Logger;
}

/** `missing`: never started; `dead`: it will never end its operation by itself, `why` is DBOS's word for it. */
export interface WorkflowState {
  readonly operation: string;
  readonly state: "missing" | "alive" | "dead";
  readonly why: string;
}

/** One DBOS workflow an operation; the operation's id is the workflow's. DBOS is one per process, hence so is this. */
export interface OperationEngine {
  /** Idempotent: an operation that was started before goes on as it is. */
  start(operation: string): Promise<void>;
  /** Hands a receipt to the operation that waits for it; kept when it is not waiting yet, dropped when it came before. */
  deliver(operation: string, key: string, jws: string): Promise<void>;
  /** Idempotent. Where a halted operation's life has ended, it begins another one, whatever was decided. */
  decide(operation: string, decided: RecordedDecision): Promise<void>;
  /** Takes on what no replica of its version came for. */
  claim(): Promise<void>;
  /** What became of the workflows of these operations. */
  survey(operations: readonly string[]): Promise<readonly WorkflowState[]>;
  /** Deletes what is kept of the workflows of operations that ended. Idempotent. */
  forget(operations: readonly string[]): Promise<void>;
  readonly replica: Pick<Replica, "executor" | "tenures" | "takeovers">;
  stop(): Promise<void>;
}

export async function launchOperationEngine(params: OperationEngineParams): Promise<OperationEngine> {
  const { records, faults, log } = params;
  const run = async (operation: string, life: Life): Promise<string> => {
    const own = records.inTerm(life.term);
    const opened = await params.ports(operation, life);
    const { kind, application, input } = opened;
    // Not a checkpoint: every life of the process compares anew before it touches anything.
    const contradiction = await params.reconciled(application);
    if (contradiction !== null)
      return endContradicted({ database: params.database, own, operation, opened, contradiction });
    const common = {
      operation,
      input,
      engine: createDbosEngine(log.child({ operation }), life),
      progress: createProgress(own, operation),
      faults: faults(kind),
    };
    return (await runTable(opened, common)).state;
  };
  const replica = await joinReplicas({
    databaseUrl: params.databaseUrl,
    log,
    onChange: (operation) => records.tell(operation),
  });
  const workflow = DBOS.registerWorkflow(
    async (operation: string) => {
      // Never reached as long as nobody writes our version on such a workflow: it is not ours to end.
      if (!isKnown(await readSagaRow(params.database, operation)))
        throw new DBOSWorkflowConflictError(operation);
      return live({ database: params.database, replica, operation }, (life) => run(operation, life));
    },
    { name: "operation", maxRecoveryAttempts: 100 },
  );
  const pool = openPool({
    connectionString: params.databaseUrl,
    max: poolSize,
    connectionTimeoutMillis: connectMs,
    idle_in_transaction_session_timeout: idleTransactionMs,
  });
  DBOS.setConfig({
    name: "baton",
    systemDatabaseUrl: params.databaseUrl,
    systemDatabasePool: pool,
    applicationVersion: sagaVersion,
    // DBOS recovers by itself only what this very executor left: replicas take over from each other instead.
    executorID: replica.executor,
    enablePatching: true,
    logger: quietLogger(log),
  });
  try {
    // It migrates its own schema, and of two that do so at once one fails.
    await withMigrationLock(params.databaseUrl, () => DBOS.launch());
  } catch (error) {
    await replica.stop(() => pool.end());
    throw error;
  }
  await replica.takeOver(async (executor) => {
    await claimWorkflows(params.database, executor);
    const recovered = await DBOSExecutor.globalInstance?.recoverPendingWorkflows([executor]);
    return recovered?.length ?? 0;
  });

  const lifeOf = async (operation: string): Promise<string> =>
    (await records.lives([operation])).get(operation) ?? operation;

  const survey = async (operations: readonly string[]): Promise<readonly WorkflowState[]> => {
    if (operations.length === 0) return [];
    const lives = await records.lives(operations);
    const found = await DBOS.listWorkflows({
      workflowIDs: operations.map((operation) => lives.get(operation) ?? operation),
      loadInput: false,
      loadOutput: false,
    });
    const states = new Map(found.map(({ workflowID, status }) => [workflowID, status]));
    return operations.map((operation) => {
      const status = states.get(lives.get(operation) ?? operation);
      if (status === undefined) return { operation, state: "missing", why: "missing" };
      return {
        operation,
        state: status === "PENDING" || status === "ENQUEUED" ? "alive" : "dead",
        why: status,
      };
    });
  };

  /** A life that ended before its operation did goes on in another one, with everything that it had written down. */
  const revive = async (operation: string, life: string): Promise<void> => {
    const steps = (await DBOS.listWorkflowSteps(life)) ?? [];
    const next = steps.reduce((last, { functionID }) => Math.max(last, functionID), -1) + 1;
    await records.beginLife(operation, `${life}.${next}`);
    await records.goOn(operation);
    await forkTo(`${life}.${next}`);
  };

  const forkTo = async (life: string): Promise<void> => {
    const at = life.lastIndexOf(".");
    await DBOS.forkWorkflow(life.slice(0, at), Number(life.slice(at + 1)), { newWorkflowID: life });
  };

  return {
    async start(operation) {
      const life = await lifeOf(operation);
      if (life === operation) await DBOS.startWorkflow(workflow, { workflowID: operation })(operation);
      else if ((await DBOS.getWorkflowStatus(life)) === null) await forkTo(life);
    },
    async deliver(operation, key, jws) {
      await DBOS.send(await lifeOf(operation), jws, receiptTopic, key);
    },
    async decide(operation, { decision, halt }) {
      const life = await lifeOf(operation);
      // What is no receipt ends the wait for one; the abort itself is on record.
      if (halt === null) return DBOS.send(life, null, receiptTopic, "abort");
      const [workflow] = await survey([operation]);
      if (workflow?.state === "dead") return revive(operation, life);
      await DBOS.send(life, decision, decisionTopic(halt), `decision-${halt}`);
    },
    claim: () => claimWorkflows(params.database, null),
    survey,
    async forget(operations) {
      for (const operation of operations) {
        const lives = await DBOS.listWorkflows({
          workflow_id_prefix: operation,
          loadInput: false,
          loadOutput: false,
        });
        if (lives.length > 0) await DBOS.deleteWorkflows(lives.map(({ workflowID }) => workflowID));
      }
    },
    replica,
    stop: () =>
      replica.stop(async () => {
        await DBOS.shutdown();
        await pool.end();
      }),
  };
}

/** DBOS tells about every launch at info; what matters to an operator starts at warn. */
function quietLogger(log: Logger) {
  const child = log.child({ part: "dbos" });
  const text = (entry: unknown): string => (entry instanceof Error ? entry.message : String(entry));
  return {
    info: (entry: unknown) => child.debug(text(entry)),
    debug: (entry: unknown) => child.trace(text(entry)),
    warn: (entry: unknown) => child.warn(text(entry)),
    error: (entry: unknown) => child.error(text(entry)),
  };
}
