import { Socket } from "node:net";
import { AppError } from "@baton/protocol";
import pg from "pg";

/** Where a PostgreSQL server is: the server itself, not a pooler before it, whose refusal would not be the server's. */
export interface PostgresDoor {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  /** PEM; with it the connection is encrypted and the server's name checked. */
  readonly ca?: string | undefined;
}

export interface PostgresLogin {
  readonly user: string;
  readonly password: string;
}

type Ask = (statement: string, values?: readonly unknown[]) => Promise<readonly Record<string, unknown>[]>;

/** One connection for one piece of work, which ends in time whatever the server does. Throws what `pg` throws, and `TimedOut`. */
export async function withSession<T>(
  params: { readonly door: PostgresDoor; readonly login: PostgresLogin; readonly timeoutMs: number },
  work: (ask: Ask) => Promise<T>,
): Promise<T> {
  const { door, login, timeoutMs } = params;
  const { host, port, database, ca } = door;
  const socket = new Socket();
  const client = new pg.Client({
    host,
    port,
    database,
    user: login.user,
    password: login.password,
    ssl: ca === undefined ? false : { ca },
    application_name: "baton-fence",
    stream: () => socket,
  });
  // It tells of its end here, too, while nothing is asked.
  client.on("error", () => undefined);
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new TimedOut()), Math.max(1, Math.ceil(timeoutMs)));
  const ask: Ask = async (text, values = []) => (await client.query(text, [...values])).rows as never;
  const working = (async () => {
    await client.connect();
    const result = await work(ask);
    // The server has left the session when it closes the connection.
    await client.end();
    return result;
  })();
  try {
    return await Promise.race([working, late.promise]);
  } finally {
    clearTimeout(timer);
    socket.destroy();
    // Of a work that was given up nobody else hears.
    working.catch(() => undefined);
  }
}

class TimedOut extends Error {
  override readonly name = "TimedOut";
}

/** What the server itself said, as SQLSTATE; null when it said nothing. @see https://www.postgresql.org/docs/current/errcodes-appendix.html */
export const stateOf = (error: unknown): string | null =>
  error instanceof pg.DatabaseError && error.code !== undefined ? error.code : null;

/** An error of a session with what it was for: "disable the role x". */
export function failed(doing: string, door: PostgresDoor, cause: unknown): AppError {
  const what = `cannot ${doing} at ${door.host}:${door.port}`;
  const state = stateOf(cause);
  const meta = { sqlState: state ?? undefined };
  if (state === null)
    return new AppError(
      "storage-unclear",
      `${what}: there was no answer, and it is not known what the server did; ask again once it answers`,
      { cause },
    );
  if (state.startsWith("28") || state === "42501")
    return new AppError(
      "storage-credentials",
      `${what}: the administrator may not (${state}); give one who may change the role, end its sessions and read all statistics`,
      { cause, meta },
    );
  if (/^(?:08|53|57|58|XX)/.test(state))
    return new AppError(
      "storage-unclear",
      `${what}: the server failed (${state}), and it is not known what it did; ask again once it is well`,
      { cause, meta },
    );
  return new AppError(
    "storage-failed",
    `${what}: the server refused (${state}); check that it is the primary, and the role's name`,
    { cause, meta },
  );
}
