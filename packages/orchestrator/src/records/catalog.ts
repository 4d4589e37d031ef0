import {
  AppError,
  type ApplicationManifest,
  type ClusterManifest,
  type StorageManifest,
} from "@baton/protocol";
import { type Kysely, sql } from "kysely";
import type { Database } from "./database.ts";
import type { Schema } from "./schema.ts";

/** What people declare: clusters, storages, applications. Applying the same manifest twice changes nothing. */
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

  async putApplication(manifest: ApplicationManifest): Promise<void> {
    await this.storage(manifest.storage);
    const text = JSON.stringify(manifest);
    await this.#database
      .insertInto("applications")
      .values({ name: manifest.name, manifest: text })
      .onConflict((conflict) =>
        conflict.column("name").doUpdateSet({ manifest: text, updated_at: sql<Date>`now()` }),
      )
      .execute();
  }

  async #put(
    table: "clusters" | "storages",
    manifest: ClusterManifest | StorageManifest,
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

function missing(
  code: "unknown-cluster" | "unknown-storage" | "unknown-application",
  what: string,
  known: readonly { readonly name: string }[],
): AppError {
  const names = known.map(({ name }) => name).join(", ");
  return new AppError(
    code,
    `${what}: there is none of this name (known: ${names === "" ? "none; apply a manifest first" : names})`,
  );
}
