import { sql } from "kysely";

/**
 * What is only told is on disk with the next checkpoint, which is a commit after it in the same log: until then a crash of the database forgets both.
 * Waiting for the disk would be downtime of the application.
 */
export const withoutWaitingForTheDisk = sql<boolean>`set_config('synchronous_commit', 'off', true) = 'off'`;
