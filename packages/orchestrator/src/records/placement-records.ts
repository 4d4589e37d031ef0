import {
  type ApplicationManifest,
  AppError,
  type DatabaseManifest,
  type PublicKey,
  type Route,
  type StorageManifest,
} from "@baton/protocol";
import { sql } from "kysely";
import type { Database } from "./database.ts";
import { lockingStates } from "./operation-states.ts";

/** A placement with the deployment that it runs. */
export interface PlacementRecord {
  readonly id: string;
  readonly application: string;
  readonly deployment: string;
  readonly cluster: string;
  readonly publicKey: PublicKey | null;
  readonly manifest: ApplicationManifest;
  readonly storage: StorageManifest;
  /** Null: the application names none. */
  readonly database: DatabaseManifest | null;
}

export interface ServingPlacement {
  readonly application: string;
  readonly placement: string;
  readonly cluster: string;
  readonly epoch: number;
  readonly storage: StorageManifest;
  /** Null when none is open or halted. */
  readonly operation: string | null;
}

/** An application whose lease is known. */
export interface LeasedApplication {
  readonly application: string;
  /** Of the placement that serves; 0 before the first one. */
  readonly epoch: number;
  readonly highestEpoch: number;
  readonly storage: StorageManifest;
}

export class PlacementRecords {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async find(id: string): Promise<PlacementRecord> {
    const row = await this.#database
      .selectFrom("placements")
      .innerJoin("deployments", "deployments.id", "placements.deployment")
      .select([
        "placements.id",
        "placements.application",
        "deployment",
        "cluster",
        "public_key",
        "deployments.manifest",
        "storage",
        "database",
      ])
      .where("placements.id", "=", id)
      .executeTakeFirst();
    if (row === undefined)
      throw new AppError("unknown-placement", `cannot use placement "${id}": there is none`);
    const { public_key: publicKey, ...rest } = row;
    return { ...rest, publicKey };
  }

  /** Records the agent's key for good at the first time. @throws `agent-identity` when another key is recorded. */
  async pinKey(id: string, key: PublicKey, applicationUrl: string): Promise<void> {
    const row = await this.#database
      .updateTable("placements")
      .set({
        public_key: sql<string>`coalesce(public_key, ${JSON.stringify(key)}::jsonb)`,
        application_url: applicationUrl,
      })
      .where("id", "=", id)
      // A stranger's address must not become the route either.
      .where((eb) => eb.or([eb("public_key", "is", null), eb(sql`public_key ->> 'x'`, "=", key.x)]))
      .returning("id")
      .executeTakeFirst();
    if (row === undefined)
      throw new AppError(
        "agent-identity",
        `cannot trust the agent of ${id}: it has another key than recorded; a lost key means a new placement`,
      );
  }

  async retire(id: string): Promise<void> {
    await this.#database
      .updateTable("placements")
      .set({ retired_at: sql<Date>`coalesce(retired_at, now())` })
      .where("id", "=", id)
      .execute();
  }

  /** Written before a lease write, see `highest_epoch`. */
  async raiseEpoch(application: string, epoch: number): Promise<void> {
    await this.#database
      .updateTable("applications")
      .set({ highest_epoch: sql<number>`greatest(highest_epoch, ${epoch})` })
      .where("name", "=", application)
      .execute();
  }

  /** The epoch of the placement that serves again after an operation was taken back. */
  async restoreEpoch(application: string, epoch: number): Promise<void> {
    await this.#database
      .updateTable("applications")
      .set({ epoch: sql<number>`greatest(epoch, ${epoch})` })
      .where("name", "=", application)
      .execute();
  }

  async route(application: string): Promise<Route> {
    const row = await this.#database
      .selectFrom("applications")
      .leftJoin("placements", "placements.id", "applications.placement")
      .select([
        "applications.epoch",
        "applications.placement",
        "placements.cluster",
        "placements.application_url",
        "applications.stopped",
      ])
      .where("applications.name", "=", application)
      .executeTakeFirst();
    if (row === undefined)
      throw new AppError(
        "unknown-application",
        `cannot route to application "${application}": there is none of this name`,
      );
    return {
      application,
      url: row.stopped ? null : row.application_url,
      placement: row.placement,
      cluster: row.cluster,
      epoch: row.epoch,
    };
  }

  /** The placements that serve from a storage, with the epoch of each, and the operation that is not over there. */
  async servingFrom(storage: string): Promise<readonly ServingPlacement[]> {
    return this.#database
      .selectFrom("applications")
      .innerJoin("placements", "placements.id", "applications.placement")
      .innerJoin("deployments", "deployments.id", "placements.deployment")
      .select((row) => [
        "applications.name as application",
        "applications.epoch",
        "placements.id as placement",
        "placements.cluster",
        "deployments.storage",
        row
          .selectFrom("operations")
          .select("operations.id")
          .whereRef("operations.application", "=", "applications.name")
          .where("operations.state", "in", lockingStates)
          .as("operation"),
      ])
      .where(sql<string>`deployments.storage ->> 'name'`, "=", storage)
      .where("applications.stopped", "=", false)
      .orderBy("applications.name")
      .execute();
  }

  async leased(): Promise<readonly LeasedApplication[]> {
    const rows = await this.#database
      .selectFrom("applications")
      .innerJoin(
        (eb) =>
          eb
            .selectFrom("deployments")
            .select(["application", "storage"])
            .distinctOn("application")
            .orderBy("application")
            .orderBy("created_at", "desc")
            .as("latest"),
        (join) => join.onRef("latest.application", "=", "applications.name"),
      )
      .select(["applications.name", "epoch", "highest_epoch", "latest.storage"])
      .where("highest_epoch", ">", 0)
      .execute();
    return rows.map(({ name, epoch, highest_epoch, storage }) => ({
      application: name,
      epoch,
      highestEpoch: highest_epoch,
      storage,
    }));
  }

  async highestEpoch(application: string): Promise<number> {
    const row = await this.#database
      .selectFrom("applications")
      .select("highest_epoch")
      .where("name", "=", application)
      .executeTakeFirstOrThrow();
    return row.highest_epoch;
  }

  async halt(application: string, reason: string | null): Promise<void> {
    await this.#database
      .updateTable("applications")
      .set({ halted_reason: reason })
      .where("name", "=", application)
      .execute();
  }
}
