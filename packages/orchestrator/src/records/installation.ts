import { AppError, type PublicKey } from "@baton/protocol";
import { sql } from "kysely";
import type { Database } from "./database.ts";

/**
 * The installation whose records these are; the first start records the key that commands are signed with.
 *
 * @returns its id, which is in the owner of every lease. @throws `invalid-configuration` when another key is recorded: no agent would listen.
 */
export async function openInstallation(database: Database, commandKey: PublicKey): Promise<string> {
  const { id, command_key: recorded } = await database
    .updateTable("installation")
    .set({ command_key: sql<string>`coalesce(command_key, ${JSON.stringify(commandKey)}::jsonb)` })
    .returning(["id", "command_key"])
    .executeTakeFirstOrThrow();
  if (recorded?.x !== commandKey.x)
    throw new AppError(
      "invalid-configuration",
      "cannot start on this database: it was set up with another signing key, which its agents trust; start with that one (command-key.json in the state directory, or BATON_COMMAND_KEY_FILE)",
    );
  return id;
}
