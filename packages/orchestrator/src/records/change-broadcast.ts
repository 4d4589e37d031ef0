import { type Kysely, sql } from "kysely";
import type { Schema } from "./schema.ts";

/** What happens within it is told at once. */
const gatherMs = 50;

/**
 * Tells every replica of changes that are committed already. A NOTIFY inside of a commit would let no other such commit through meanwhile. Whoever
 * waits looks by himself at his deadline: what is not told is seen later, not never.
 */
export class ChangeBroadcast {
  readonly #database: Kysely<Schema>;
  #operations = new Set<string>();

  constructor(database: Kysely<Schema>) {
    this.#database = database;
  }

  tell(operation: string): void {
    if (this.#operations.size === 0)
      setTimeout(() => void this.#send().catch(() => undefined), gatherMs).unref();
    this.#operations.add(operation);
  }

  async #send(): Promise<void> {
    const operations = [...this.#operations];
    this.#operations = new Set();
    await sql`select pg_notify('baton_operations', id) from unnest(${operations}::text[]) id`.execute(
      this.#database,
    );
  }
}
