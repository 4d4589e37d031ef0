import { EventEmitter, once } from "node:events";
import type {
  Decision,
  DowntimeLedger,
  Operation,
  StepState,
  FenceRecord,
  ReplicaRecord,
} from "@baton/protocol";
import type { RecordedError, SagaEnd, VerifiedReceipt } from "@baton/migration";
import { type Kysely, type Updateable, sql } from "kysely";
import { ChangeBroadcast } from "./change-broadcast.ts";
import type { Database } from "./database.ts";
import { lastDecision } from "./decisions.ts";
import { withoutWaitingForTheDisk } from "./without-waiting.ts";
import { courseOf, livingStates } from "./operation-states.ts";
import type { Schema, StoredReceipt } from "./schema.ts";
import { StaleTerm } from "./stale-term.ts";

export const emptyLedger: DowntimeLedger = {
  stopSentAt: null,
  drainedAt: null,
  exitedAt: null,
  confirmedAt: null,
  fencedAt: null,
  grantedAt: null,
  startSentAt: null,
  readyAt: null,
  firstWriteAt: null,
  committedAt: null,
  applicationStopMs: null,
  applicationStartMs: null,
};

/** Operations and their steps: every change raises the operation's version and wakes whoever waits for it. */
export class OperationRecords {
  readonly #database: Database;
  readonly #changes: EventEmitter;
  readonly #broadcast: ChangeBroadcast;
  /** Null: of nobody's life. */
  readonly #term: number | null;

  /** @param changes tells of every change, by the operation's id. */
  constructor(
    database: Database,
    changes: EventEmitter = new EventEmitter(),
    broadcast: ChangeBroadcast = new ChangeBroadcast(database),
    term: number | null = null,
  ) {
    this.#database = database;
    this.#changes = changes.setMaxListeners(0);
    this.#broadcast = broadcast;
    this.#term = term;
  }

  /** The same for one life of an operation's workflow: once a later one has begun, every change throws `StaleTerm` and changes nothing. */
  inTerm(term: number): OperationRecords {
    return new OperationRecords(this.#database, this.#changes, this.#broadcast, term);
  }

  async find(id: string): Promise<Operation | null> {
    const row = await this.#database
      .selectFrom("operations")
      .selectAll()
      .where("id", "=", id)
      .executeTakeFirst();
    if (row === undefined) return null;
    const steps = await this.#database
      .selectFrom("steps")
      .selectAll()
      .where("operation", "=", id)
      .orderBy("position")
      .execute();
    const decisions = await this.#database
      .selectFrom("decisions")
      .selectAll()
      .where("operation", "=", id)
      .orderBy("id")
      .execute();
    return {
      id: row.id,
      kind: row.kind,
      application: row.application,
      from: row.from_cluster,
      to: row.to_cluster,
      state: row.state === "rolling-back" || row.state === "past-pivot" ? "open" : row.state,
      course: courseOf(row),
      reason: row.reason,
      steps: steps.map(({ name, state, pivot, started_at, ms, detail }) => ({
        name,
        state,
        pivot,
        startedAt: started_at?.toISOString() ?? null,
        ms,
        detail,
      })),
      epochBefore: row.epoch_before,
      epochAfter: row.epoch_after,
      source: row.source,
      target: row.target,
      receipt: row.receipt,
      fence: row.fence,
      replica: row.replica,
      possibleLoss: row.possible_loss,
      strategy: row.strategy,
      cold: row.cold,
      plan: row.plan,
      findings: row.findings === null ? null : [...row.findings],
      decisions: decisions.map(({ kind, reason, decided_by, decided_at }) => ({
        kind,
        reason,
        by: decided_by,
        at: decided_at.toISOString(),
      })),
      // Rows of earlier versions lack what came later.
      ledger: { ...emptyLedger, ...row.ledger },
      startedBy: row.started_by,
      createdAt: row.created_at.toISOString(),
      endedAt: row.ended_at?.toISOString() ?? null,
      version: row.version,
    };
  }

  async list(application?: string): Promise<readonly Operation[]> {
    let query = this.#database.selectFrom("operations").select("id").orderBy("created_at", "desc").limit(100);
    if (application !== undefined) query = query.where("application", "=", application);
    const found = await Promise.all((await query.execute()).map(({ id }) => this.find(id)));
    return found.filter((operation) => operation !== null);
  }

  /** Wakes whoever waits for a change that was made elsewhere; null: of any operation. */
  tell(operation: string | null): void {
    for (const changed of operation === null ? this.#changes.eventNames() : [operation])
      this.#changes.emit(changed);
  }

  /** The operation as soon as its version is above `after` or it has ended, at the latest after `waitMs`. */
  async waitForChange(id: string, after: number, waitMs: number): Promise<Operation | null> {
    const deadline = AbortSignal.timeout(waitMs);
    for (;;) {
      // Listens before it reads, so that no change falls in between.
      const listening = new AbortController();
      const changed = once(this.#changes, id, {
        signal: AbortSignal.any([deadline, listening.signal]),
      }).catch(() => undefined);
      try {
        const operation = await this.find(id);
        if (operation === null || operation.version > after || operation.endedAt !== null || deadline.aborted)
          return operation;
        await changed;
      } finally {
        listening.abort();
      }
    }
  }

  async setStep(operation: string, name: string, state: StepState, detail: string | null): Promise<void> {
    const ended = state === "done" || state === "failed";
    // One statement: a step's course is told while the application is down.
    const told = await this.#database
      .with("current", (database) =>
        this.#raiseVersion(database, operation).where(withoutWaitingForTheDisk).returning("id"),
      )
      .updateTable("steps")
      .from("current")
      .set({
        state,
        detail,
        started_at: sql<Date>`coalesce(started_at, clock_timestamp())`,
        ...(ended
          ? {
              ms: sql<number>`extract(epoch from clock_timestamp() - coalesce(started_at, clock_timestamp())) * 1000`,
            }
          : {}),
      })
      .whereRef("steps.operation", "=", "current.id")
      .where("name", "=", name)
      .executeTakeFirst();
    this.#assertTold(operation, told.numUpdatedRows);
    this.#changed(operation);
  }

  async mark(operation: string, moments: Partial<DowntimeLedger>): Promise<void> {
    // A moment that is written stays: a step that runs again after a crash does not move it.
    const ledger = sql<string>`ledger || ${JSON.stringify(moments)}::jsonb || jsonb_strip_nulls(ledger)`;
    const { numUpdatedRows } = await this.#raiseVersion(this.#database, operation)
      .set({ ledger })
      .where(withoutWaitingForTheDisk)
      .executeTakeFirstOrThrow();
    this.#assertTold(operation, numUpdatedRows);
    this.#changed(operation);
  }

  async saveReceipt(operation: string, { receipt, jws }: VerifiedReceipt): Promise<void> {
    const stored: StoredReceipt = { outcome: receipt.outcome, evidenceClass: receipt.evidenceClass, jws };
    await this.change(operation, async (transaction) => {
      await transaction
        .insertInto("receipts")
        .values({ key: receipt.key, operation, placement: receipt.placement, jws })
        .onConflict((conflict) => conflict.column("key").doNothing())
        .execute();
      await transaction
        .updateTable("operations")
        .set({ receipt: JSON.stringify(stored) })
        .where("id", "=", operation)
        .execute();
    });
  }

  async saveFence(operation: string, fence: FenceRecord | null, possibleLoss: boolean): Promise<void> {
    const proof = fence === null ? {} : { fence: JSON.stringify(fence) };
    await this.change(operation, async (transaction) => {
      await transaction
        .updateTable("operations")
        .set({ ...proof, possible_loss: possibleLoss })
        .where("id", "=", operation)
        .execute();
    });
  }

  async saveReplica(operation: string, replica: ReplicaRecord): Promise<void> {
    await this.change(operation, async (transaction) => {
      await transaction
        .updateTable("operations")
        .set({ replica: JSON.stringify(replica) })
        .where("id", "=", operation)
        .execute();
    });
  }

  /** Commit and rollback change the same row from the same state: only one can win (safety rule 15). */
  async beginRollback(operation: string, reason: RecordedError): Promise<"rolling-back" | "committed"> {
    return this.change(operation, async (transaction) => {
      await transaction
        .updateTable("operations")
        .set({ state: "rolling-back", reason: reason.detail })
        .where("id", "=", operation)
        .where("state", "=", "open")
        .execute();
      const { state } = await transaction
        .selectFrom("operations")
        .select("state")
        .where("id", "=", operation)
        .executeTakeFirstOrThrow();
      return state === "past-pivot" || state === "committed" ? "committed" : "rolling-back";
    });
  }

  /** The engine's names for the present lives of operations that have another one than their own. */
  async lives(operations: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const rows = await this.#database
      .selectFrom("operations")
      .select(["id", "workflow"])
      .where("id", "in", operations)
      .where("workflow", "is not", null)
      .execute();
    return new Map(rows.flatMap(({ id, workflow }) => (workflow === null ? [] : [[id, workflow]])));
  }

  async beginLife(operation: string, workflow: string): Promise<void> {
    await this.#database.updateTable("operations").set({ workflow }).where("id", "=", operation).execute();
  }

  /** Who wants the operation taken back; null: nobody does, or it goes nowhere that could be taken back. */
  async abortOf(operation: string): Promise<Decision | null> {
    const row = await this.#database
      .selectFrom("operations")
      .select("abort_requested")
      .where("id", "=", operation)
      .executeTakeFirst();
    return row?.abort_requested === true ? lastDecision(this.#database, operation, "abort") : null;
  }

  /** Keeps the application's lock until a person decides. */
  async halt(operation: string, number: number, reason: string): Promise<void> {
    await this.change(operation, async (transaction) => {
      await transaction
        .updateTable("operations")
        .set({
          state: "halted",
          halted_from: sql<null>`state`,
          halts: number,
          reason,
          ended_at: sql<Date>`clock_timestamp()`,
        })
        .where("id", "=", operation)
        .where("state", "in", livingStates)
        .execute();
    });
  }

  /** What was halted goes on, there where it was going or as told. */
  async goOn(operation: string, to?: (typeof livingStates)[number]): Promise<void> {
    await this.change(operation, async (transaction) => {
      await transaction
        .updateTable("operations")
        .set({ state: to ?? sql<"open">`coalesce(halted_from, 'open')`, ended_at: null })
        .where("id", "=", operation)
        .where("state", "=", "halted")
        .execute();
    });
  }

  async end(operation: string, end: SagaEnd): Promise<void> {
    await this.change(operation, async (transaction) => {
      await transaction
        .updateTable("operations")
        .set({
          state: end.state,
          halted_from: sql<null>`case when ${end.state} = 'halted' then state end`,
          // What was decided was about another halt.
          decided_halt: 0,
          reason: end.state === "committed" ? null : end.reason.detail,
          ended_at: sql<Date>`coalesce(ended_at, clock_timestamp())`,
          epoch_after: sql<number>`(select epoch from applications where name = operations.application)`,
          // Ended from outside: whatever life it had is over.
          ...(this.#term === null ? { term: sql<number>`term + 1` } : {}),
        })
        .where("id", "=", operation)
        .where("state", "in", livingStates)
        .execute();
    });
  }

  /** A change that touches other tables as well, in one transaction with the version, and under the term. */
  async change<T>(operation: string, work: (transaction: Kysely<Schema>) => Promise<T>): Promise<T> {
    const value = await this.#database.transaction().execute(async (transaction) => {
      // First: from here to the end no later life can begin.
      const { numUpdatedRows } = await this.#raiseVersion(transaction, operation).executeTakeFirstOrThrow();
      this.#assertTold(operation, numUpdatedRows);
      return work(transaction);
    });
    this.#changed(operation);
    return value;
  }

  #changed(operation: string): void {
    this.#changes.emit(operation);
    this.#broadcast.tell(operation);
  }

  #raiseVersion(database: Pick<Kysely<Schema>, "updateTable">, operation: string) {
    const term = this.#term;
    return database
      .updateTable("operations")
      .set({ version: sql<number>`version + 1` })
      .where("id", "=", operation)
      .$if(term !== null, (query) => query.where("term", "=", term));
  }

  #assertTold(operation: string, rows: bigint): void {
    if (rows === 0n && this.#term !== null) throw new StaleTerm(operation);
  }

  /* The pivots: the application and the operation's state change together, or not at all. Idempotent. They return whether it has happened. */

  /** Its target serves, in this epoch. */
  commit(operation: string, epoch: number): Promise<boolean> {
    return this.#pivot(operation, ({ target }) => ({ placement: target, epoch, stopped: false }));
  }

  commitStop(operation: string): Promise<boolean> {
    return this.#pivot(operation, () => ({ stopped: true }));
  }

  commitDelete(operation: string): Promise<boolean> {
    return this.#pivot(operation, () => ({ placement: null, stopped: false }));
  }

  #pivot(
    operation: string,
    change: (row: { readonly target: string | null }) => Updateable<Schema["applications"]>,
  ): Promise<boolean> {
    return this.change(operation, async (transaction) => {
      const row = await transaction
        .updateTable("operations")
        .set({ state: "past-pivot" })
        .where("id", "=", operation)
        .where("state", "in", ["open", "past-pivot"])
        .where("abort_requested", "=", false)
        .returning(["application", "target"])
        .executeTakeFirst();
      if (row === undefined) return false;
      await transaction
        .updateTable("applications")
        .set({ ...change(row), updated_at: sql<Date>`now()` })
        .where("name", "=", row.application)
        .execute();
      return true;
    });
  }
}
