import type { MigratePorts } from "@baton/migration";
import type { ObjectStore } from "@baton/storage";
import type { Machine, Random, Scheduler } from "@baton/storage/simulation";
import type { Asking } from "./asking.ts";
import type { Database } from "./database.ts";
import type { Oracle } from "./oracle.ts";
import type { Wish } from "./wish.ts";
import type { Sights } from "./sights.ts";
import type { Site } from "./site.ts";
import type { SimulatedStore } from "./store.ts";

/** What a broken variant makes otherwise. */
export type ChangePorts = (ports: MigratePorts, around: OrchestratorDeps) => MigratePorts;

export interface OrchestratorDeps {
  readonly machine: Machine;
  readonly database: Database;
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly oracle: Oracle;
  readonly sights: Sights;
  readonly note: (line: string) => void;
  readonly controlStore: ObjectStore;
  readonly store: SimulatedStore;
  /** Where the store takes orders about keys. */
  readonly storeApi: Machine;
  readonly asking: Asking;
  readonly siteOfPlacement: (placement: string) => Site;
  readonly hasFence: boolean;
  readonly wishes: readonly Wish[];
  readonly newNonce: () => string;
  /** A phase of an operation was recorded. */
  readonly onRecord: (operation: string, phase: string) => void;
  /** A person is told of a halt. */
  readonly onHalt: (operation: string) => void;
  readonly changePorts: ChangePorts;
}
