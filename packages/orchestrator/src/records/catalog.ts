import {
  AppError,
  type ApplicationManifest,
  type ClusterManifest,
  type DatabaseManifest,
  type StorageManifest,
} from "@baton/protocol";
import { type Kysely, sql } from "kysely";
import type { Database } from "./database.ts";
import type { ProbeTable } from "./probe-records.ts";
import type { Schema } from "./schema.ts";

export interface StorageUser {
  readonly name: string;
  /** That are not retired. */
  readonly placements: number;
}

/** What people declare: clusters, storages, databases, applications. Applying the same manifest twice changes nothing. */
export class Catalog {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async cluster(name: string): Promise<ClusterManifest> {
    const row = await this.#database
      .selectFrom("clusters")
      .select("manifest")
      .where("name", "=", name)
      .executeTakeFirst();
    if (row !== undefined) return row.manifest;
    const known = await this.#database.selectFrom("clusters").select("name").orderBy("name").execute();
    throw missing("unknown-cluster", `cannot use cluster "${name}"`, known);
  }

  async storage(name: string): Promise<StorageManifest> {
    const row = await this.#database
      .selectFrom("storages")
      .select("manifest")
      .where("name", "=", name)
      .executeTakeFirst();
    if (row !== undefined) return row.manifest;
    const known = await this.#database.selectFrom("storages").select("name").orderBy("name").execute();
    throw missing("unknown-storage", `cannot use storage "${name}"`, known);
  }

  async database(name: string): Promise<DatabaseManifest> {
    const row = await this.#database
      .selectFrom("databases")
      .select("manifest")
      .where("name", "=", name)
      .executeTakeFirst();
    if (row !== undefined) return row.manifest;
    const known = await this.#database.selectFrom("databases").select("name").orderBy("name").execute();
    throw missing("unknown-database", `cannot use database "${name}"`, known);
  }

  async application(name: string): Promise<ApplicationManifest> {
    const row = await this.#database
      .selectFrom("applications")
      .select("manifest")
      .where("name", "=", name)
      .executeTakeFirst();
    if (row !== undefined) return row.manifest;
    const known = await this.#database.selectFrom("applications").select("name").orderBy("name").execute();
    throw missing("unknown-application", `cannot use application "${name}"`, known);
  }

  async clusters(): Promise<readonly ClusterManifest[]> {
    return (await this.#database.selectFrom("clusters").select("manifest").orderBy("name").execute()).map(
      (row) => row.manifest,
    );
  }

  async storages(): Promise<readonly StorageManifest[]> {
    return (await this.#database.selectFrom("storages").select("manifest").orderBy("name").execute()).map(
      (row) => row.manifest,
    );
  }

  async databases(): Promise<readonly DatabaseManifest[]> {
    return (await this.#database.selectFrom("databases").select("manifest").orderBy("name").execute()).map(
      (row) => row.manifest,
    );
  }

  async applications(): Promise<readonly ApplicationManifest[]> {
    return (await this.#database.selectFrom("applications").select("manifest").orderBy("name").execute()).map(
      (row) => row.manifest,
    );
  }

  /** @throws `in-use` when placements live there and the cluster would become another place. */
  async putCluster(manifest: ClusterManifest): Promise<void> {
    await this.#put("clusters", manifest, (transaction) =>
      transaction
        .selectFrom("placements")
        .select("id")
        .where("cluster", "=", manifest.name)
        .where("retired_at", "is", null)
        .executeTakeFirst(),
    );
  }

  /** @throws `in-use` when a deployment of this storage has a placement: data does not move by editing a manifest. */
  async putStorage(manifest: StorageManifest): Promise<void> {
    await this.#put("storages", manifest, (transaction) =>
      transaction
        .selectFrom("placements")
        .innerJoin("deployments", "deployments.id", "placements.deployment")
        .select("placements.id")
        .where(sql<string>`deployments.storage ->> 'name'`, "=", manifest.name)
        .where("placements.retired_at", "is", null)
        .executeTakeFirst(),
    );
  }

  /** @throws `in-use` when a deployment at this database has a placement: its roles are where they were made. */
  async putDatabase(manifest: DatabaseManifest): Promise<void> {
    await this.#put("databases", manifest, (transaction) =>
      transaction
        .selectFrom("placements")
        .innerJoin("deployments", "deployments.id", "placements.deployment")
        .select("placements.id")
        .where(sql<string>`deployments.database ->> 'name'`, "=", manifest.name)
        .where("placements.retired_at", "is", null)
        .executeTakeFirst(),
    );
  }

  /** @throws `unknown-storage`, `unknown-database` with the names that there are. */
  async putApplication(manifest: ApplicationManifest): Promise<void> {
    const text = JSON.stringify(manifest);
    // A database is never removed.
    if (manifest.database !== undefined) await this.database(manifest.database);
    const isDeclared = await this.#database.transaction().execute(async (transaction) => {
      // A storage that is being removed at this moment: one waits for the other.
      const storage = await transaction
        .selectFrom("storages")
        .select("name")
        .where("name", "=", manifest.storage)
        .forKeyShare()
        .executeTakeFirst();
      if (storage === undefined) return false;
      await transaction
        .insertInto("applications")
        .values({ name: manifest.name, manifest: text })
        .onConflict((conflict) =>
          conflict.column("name").doUpdateSet({ manifest: text, updated_at: sql<Date>`now()` }),
        )
        .execute();
      return true;
    });
    // Throws, with the names that there are.
    if (!isDeclared) await this.storage(manifest.storage);
  }

  /** Applications that name the storage or have a placement on it that is not retired, with how many. */
  async usersOf(storage: string): Promise<readonly StorageUser[]> {
    return usersOf(this.#database, storage);
  }

  /**
   * Forgets a storage and what was seen of it; nothing in the bucket is touched.
   *
   * @throws `unknown-storage`; `in-use` while an application names it or a placement that is not retired uses it.
   */
  async removeStorage(name: string): Promise<void> {
    const isRemoved = await this.#database.transaction().execute(async (transaction) => {
      const row = await transaction
        .selectFrom("storages")
        .select("name")
        .where("name", "=", name)
        .forUpdate()
        .executeTakeFirst();
      if (row === undefined) return false;
      const [user] = await usersOf(transaction, name);
      if (user !== undefined)
        throw new AppError(
          "in-use",
          user.placements > 0
            ? `cannot remove storage "${name}": application "${user.name}" has ${user.placements === 1 ? "a placement" : `${user.placements} placements`} on it; nothing was changed`
            : `cannot remove storage "${name}": application "${user.name}" names it; apply the application with another storage first`,
        );
      await transaction.deleteFrom("storages").where("name", "=", name).execute();
      await transaction.withTables<ProbeTable>().deleteFrom("probes").where("storage", "=", name).execute();
      return true;
    });
    // Throws, with the names that there are.
    if (!isRemoved) await this.storage(name);
  }

  async #put(
    table: "clusters" | "storages" | "databases",
    manifest: ClusterManifest | StorageManifest | DatabaseManifest,
    findUser: (transaction: Kysely<Schema>) => Promise<{ readonly id: string } | undefined>,
  ): Promise<void> {
    const text = JSON.stringify(manifest);
    await this.#database.transaction().execute(async (transaction) => {
      // A placement that is made at this moment refers to the row: one waits for the other.
      const same = await transaction
        .selectFrom(table)
        .select(sql<boolean>`manifest = ${text}::jsonb`.as("same"))
        .where("name", "=", manifest.name)
        .forUpdate()
        .executeTakeFirst();
      if (same?.same === true) return;
      const user = await findUser(transaction);
      if (user !== undefined)
        throw new AppError(
          "in-use",
          `cannot change ${manifest.kind} "${manifest.name}": placement ${user.id} uses it; apply it under another name`,
        );
      await transaction
        .insertInto(table)
        .values({ name: manifest.name, manifest: text })
        .onConflict((conflict) =>
          conflict.column("name").doUpdateSet({ manifest: text, updated_at: sql<Date>`now()` }),
        )
        .execute();
    });
  }
}

async function usersOf(database: Kysely<Schema>, storage: string): Promise<readonly StorageUser[]> {
  const rows = await database
    .selectFrom("applications")
    .select((row) => [
      "applications.name",
      row
        .selectFrom("placements")
        .innerJoin("deployments", "deployments.id", "placements.deployment")
        .select((count) => count.fn.countAll<string>().as("count"))
        .whereRef("placements.application", "=", "applications.name")
        .where("placements.retired_at", "is", null)
        .where(sql<string>`deployments.storage ->> 'name'`, "=", storage)
        .as("placements"),
      sql<boolean>`applications.manifest ->> 'storage' = ${storage}`.as("names"),
    ])
    .orderBy("applications.name")
    .execute();
  return rows
    .map(({ name, placements, names }) => ({ name, placements: Number(placements), names }))
    .filter(({ placements, names }) => names || placements > 0)
    .map(({ name, placements }) => ({ name, placements }));
}

function missing(
  code: "unknown-cluster" | "unknown-storage" | "unknown-database" | "unknown-application",
  what: string,
  known: readonly { readonly name: string }[],
): AppError {
  const names = known.map(({ name }) => name).join(", ");
  return new AppError(
    code,
    `${what}: there is none of this name (known: ${names === "" ? "none; apply a manifest first" : names})`,
  );
}
