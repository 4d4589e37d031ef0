import {
  AppError,
  type ApplicationManifest,
  type ClusterManifest,
  type StorageManifest,
} from "@baton/protocol";
import { sql } from "kysely";
import type { Database } from "./database.ts";

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
    const used = this.#database
      .selectFrom("placements")
      .select("id")
      .where("cluster", "=", manifest.name)
      .where("retired_at", "is", null);
    await this.#put("clusters", manifest, used.limit(1).executeTakeFirst());
  }

  /** @throws `in-use` when a deployment of this storage has a placement: data does not move by editing a manifest. */
  async putStorage(manifest: StorageManifest): Promise<void> {
    const used = this.#database
      .selectFrom("placements")
      .innerJoin("deployments", "deployments.id", "placements.deployment")
      .select("placements.id")
      .where(sql<string>`deployments.storage ->> 'name'`, "=", manifest.name)
      .where("placements.retired_at", "is", null);
    await this.#put("storages", manifest, used.limit(1).executeTakeFirst());
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
    used: Promise<{ readonly id: string } | undefined>,
  ): Promise<void> {
    const text = JSON.stringify(manifest);
    const user = await used;
    if (user !== undefined) {
      const same = await this.#database
        .selectFrom(table)
        .select("name")
        .where("name", "=", manifest.name)
        .where("manifest", "=", sql<never>`${text}::jsonb`)
        .executeTakeFirst();
      if (same !== undefined) return;
      throw new AppError(
        "in-use",
        `cannot change ${manifest.kind} "${manifest.name}": placement ${user.id} uses it; apply it under another name`,
      );
    }
    await this.#database
      .insertInto(table)
      .values({ name: manifest.name, manifest: text })
      .onConflict((conflict) =>
        conflict.column("name").doUpdateSet({ manifest: text, updated_at: sql<Date>`now()` }),
      )
      .execute();
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
