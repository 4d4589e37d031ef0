import {
  type Saga,
  deleteServing,
  deleteStopped,
  deploy,
  migrate,
  migrateCold,
  start,
  stop,
} from "@baton/migration";
import { AppError, type OperationRequest } from "@baton/protocol";
import type { Database } from "./database.ts";

export type Table = Pick<Saga<never, never>, "name" | "steps">;
type Kind = OperationRequest["kind"];

/**
 * Every table of steps that this version can run, by the placements that it works on. A table is never changed: a changed one gets the next name
 * and stands beside it, until no installation has an operation of the old name that is not over.
 */
export const tables = {
  onTarget: [deploy, start],
  onSource: [stop, deleteServing, deleteStopped],
  onBoth: [migrate, migrateCold],
} as const;

const known: ReadonlyMap<string, Table> = new Map(
  [...tables.onTarget, ...tables.onSource, ...tables.onBoth].map((table) => [table.name, table]),
);
export const knownSagas: readonly string[] = [...known.keys()].toSorted();

/** What an operation that begins now gets. */
export const sagas: Readonly<Record<Kind, Table>> = { deploy, migrate, stop, start, delete: deleteServing };

export function tableOf(
  { kind, cold = false }: { readonly kind: Kind; readonly cold?: boolean | undefined },
  ofStopped = false,
): Table {
  if (kind === "migrate") return cold ? migrateCold : migrate;
  return kind === "delete" && ofStopped ? deleteStopped : sagas[kind];
}

/** What says which table an operation has. */
export interface SagaRow {
  readonly id: string;
  readonly kind: Kind;
  readonly cold: boolean;
  readonly of_stopped: boolean;
  readonly saga: string | null;
}

export const sagaOf = ({ kind, cold, of_stopped: ofStopped, saga }: SagaRow): string =>
  saga ?? tableOf({ kind, cold }, ofStopped).name.replace(/@\d+$/, "@1");

/** @throws `saga-unknown` */
export function ownTable(row: SagaRow): Table {
  const table = known.get(sagaOf(row));
  if (table === undefined)
    throw new AppError("saga-unknown", `cannot go on with ${row.id}: ${whyUnknown(row)}`);
  return table;
}

export async function readSagaRow(database: Database, operation: string): Promise<SagaRow> {
  return database
    .selectFrom("operations")
    .select(["id", "kind", "cold", "of_stopped", "saga"])
    .where("id", "=", operation)
    .executeTakeFirstOrThrow();
}

export const isKnown = (row: SagaRow): boolean => known.has(sagaOf(row));

export const whyUnknown = (row: SagaRow): string =>
  `its steps are ${sagaOf(row)}, which this version does not know; start a version that knows them, and let it end there`;
