import { createHash, randomUUID } from "node:crypto";
import pg from "pg";
import type { Logger } from "pino";
import { repeat } from "./repeat.ts";

/** All in ms. `trusted` is shorter than `silent`: a replica stops working before the database lets others take over from it. */
export interface ReplicaTimings {
  readonly beat: number;
  /** How long after asking, if answered, the lock is counted as ours. */
  readonly trusted: number;
  /** The database ends a session that asked nothing for so long, and with it the lock. */
  readonly silent: number;
  readonly answer: number;
}

const usualTimings: ReplicaTimings = { beat: 500, trusted: 2_000, silent: 3_000, answer: 5_000 };

export interface ReplicaParams {
  readonly databaseUrl: string;
  readonly log: Logger;
  /** An operation that any replica changed; null: any may have changed unseen. */
  readonly onChange?: ((operation: string | null) => void) | undefined;
  readonly timings?: ReplicaTimings | undefined;
}

/** Makes the workflows of a dead replica anybody's. @returns how many */
export type Recover = (executor: string) => Promise<number>;

/**
 * This process among those that share a database. It is alive as long as it holds an advisory lock of its own name on a session that it keeps
 * talking on; the database drops that lock when the process dies, when it is paused, and when its host or the network is gone.
 */
export interface Replica {
  /** Never used before, by no process. */
  readonly executor: string;
  /**
   * Waits until nobody can be taking over from this replica. @returns which tenure of the lock this is: while it is the same, nobody could in
   * between either. After `stop` it waits for ever, as whoever works on an operation shall.
   */
  tenure(): Promise<number>;
  /** From now on takes over what dead replicas left, first of all now. */
  takeOver(recover: Recover): Promise<void>;
  readonly takeovers: number;
  /** How often it got its lock. */
  readonly tenures: number;
  /** From now on nothing is done here; others may take over once `meanwhile` has ended. */
  stop(meanwhile: () => Promise<void>): Promise<void>;
}

export async function joinReplicas(params: ReplicaParams): Promise<Replica> {
  const { databaseUrl, log, onChange = () => undefined, timings = usualTimings } = params;
  const executor = `orchestrator-${randomUUID()}`;
  const joinedAt = performance.now();
  let session = await openSession(databaseUrl, executor, timings, onChange);
  let tenure = session === null ? 0 : 1;
  let trustedUntil = joinedAt + timings.trusted;
  let sweepFrom = joinedAt;
  let wake = Promise.withResolvers<void>();
  let recover: Recover | undefined;
  let taking: Promise<void> | undefined;
  let takeovers = 0;
  let isSilent = false;
  let isStopped = false;

  const isTrusted = (): boolean => !isStopped && session !== null && performance.now() < trustedUntil;

  const takeOverFrom = async ({ client }: Session, how: Recover): Promise<void> => {
    for (const name of await executorsAtWork(client, executor)) {
      // Held by who lives, or by another who is taking over.
      if (!(await tryLock(client, name))) continue;
      try {
        const count = await how(name);
        takeovers += count;
        if (count > 0) log.warn({ executor: name, operations: count }, "a replica is dead: taken over");
      } finally {
        await client.query("select pg_advisory_unlock($1)", [lockKey(name)]);
      }
    }
  };
  /** The beat goes on meanwhile. */
  const sweep = async (): Promise<void> => {
    if (session === null || recover === undefined || performance.now() < sweepFrom) return;
    taking ??= takeOverFrom(session, recover)
      .catch((error: unknown) => log.warn({ err: error }, "cannot take over from a dead replica yet"))
      .finally(() => {
        taking = undefined;
      });
    await taking;
  };

  const reopen = async (): Promise<void> => {
    session?.end();
    session = null;
    session = await openSession(databaseUrl, executor, timings, onChange);
    if (session === null) return;
    tenure += 1;
    // A database that comes back has nobody's lock at first.
    sweepFrom = performance.now() + timings.silent;
    onChange(null);
    log.info("the lock of this replica is held again");
  };
  const beat = async (): Promise<void> => {
    const askedAt = performance.now();
    try {
      if (session === null || session.isLost()) await reopen();
      if (session === null) return;
      await session.client.query("select");
      isSilent = false;
    } catch (error) {
      session?.end();
      if (!isSilent)
        log.warn({ err: error }, "the lock of this replica is lost: operations wait until it is held again");
      isSilent = true;
      return;
    }
    trustedUntil = askedAt + timings.trusted;
    wake.resolve();
    wake = Promise.withResolvers();
    void sweep();
  };
  const endBeats = repeat(timings.beat, "hold the lock of this replica", beat, log);

  return {
    executor,
    async tenure() {
      while (!isTrusted()) await wake.promise;
      return tenure;
    },
    async takeOver(how) {
      recover = how;
      await sweep();
    },
    get takeovers() {
      return takeovers;
    },
    get tenures() {
      return tenure;
    },
    async stop(meanwhile) {
      isStopped = true;
      await endBeats();
      await meanwhile();
      await taking;
      session?.end();
    },
  };
}

interface Session {
  readonly client: pg.Client;
  isLost(): boolean;
  /** Gives the lock back at once. */
  end(): void;
}

/** @returns null where somebody is just taking over from us. @throws when the database does not answer */
async function openSession(
  databaseUrl: string,
  executor: string,
  timings: ReplicaTimings,
  onChange: (operation: string) => void,
): Promise<Session | null> {
  const client = new pg.Client({
    connectionString: databaseUrl,
    application_name: "baton replica",
    connectionTimeoutMillis: timings.answer,
    query_timeout: timings.answer,
    keepAlive: true,
  });
  let lost = false;
  const end = (): void => {
    lost = true;
    // Without a farewell that might wait for a silent server.
    client.end().catch(() => undefined);
    client.connection.stream.destroy();
  };
  client.on("error", () => {
    lost = true;
  });
  client.on("end", () => {
    lost = true;
  });
  client.on("notification", ({ payload }) => {
    if (payload !== undefined) onChange(payload);
  });
  await client.connect();
  try {
    await client.query(`set idle_session_timeout = ${timings.silent}`);
    await client.query("listen baton_operations");
    if (await tryLock(client, executor)) return { client, end, isLost: () => lost };
  } catch (error) {
    end();
    throw error;
  }
  end();
  return null;
}

const lockKey = (executor: string): string =>
  createHash("sha256").update(`baton replica ${executor}`).digest().readBigInt64BE(0).toString();

async function tryLock(client: pg.Client, executor: string): Promise<boolean> {
  const { rows } = await client.query<{ taken: boolean }>("select pg_try_advisory_lock($1) as taken", [
    lockKey(executor),
  ]);
  return rows[0]?.taken === true;
}

/** Others that have workflows to do, living or dead. */
async function executorsAtWork(client: pg.Client, self: string): Promise<readonly string[]> {
  const { rows } = await client.query<{ executor_id: string }>(
    "select distinct executor_id from dbos.workflow_status where status = 'PENDING' and executor_id <> $1",
    [self],
  );
  return rows.map(({ executor_id: id }) => id);
}
