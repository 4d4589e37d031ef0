import { AppError } from "@baton/protocol";
import * as v from "valibot";

/** What restic says in JSON, as far as it is used: its later versions say more. */
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const optionalCount = v.optional(count, 0);

export const backupLineSchema = v.variant("message_type", [
  v.object({ message_type: v.literal("status"), total_bytes: optionalCount, bytes_done: optionalCount }),
  v.object({
    message_type: v.literal("summary"),
    snapshot_id: v.pipe(v.string(), v.regex(/^[0-9a-f]{8,64}$/)),
    data_added: count,
    total_files_processed: count,
    total_bytes_processed: count,
  }),
]);

/** In stderr, one for each thing that could not be read. */
export const errorLineSchema = v.object({ message_type: v.literal("error"), item: v.string() });

const snapshotSchema = v.object({
  id: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
  time: v.pipe(v.string(), v.isoTimestamp()),
  hostname: v.string(),
  paths: v.array(v.string()),
  tags: v.optional(v.nullable(v.array(v.string()))),
});
export const snapshotsSchema = v.nullable(v.array(snapshotSchema));
export type SnapshotLine = v.InferOutput<typeof snapshotSchema>;

export const statsSchema = v.object({ total_size: count, total_file_count: count });

export const forgottenSchema = v.array(v.object({ remove: v.nullable(v.array(snapshotSchema)) }));

/** @throws AppError `copier-unfit`, which never says what the line was. */
export function parseOutput<S extends v.GenericSchema>(
  schema: S,
  text: string,
  what: string,
): v.InferOutput<S> {
  const value = parseJson(text);
  if (!v.is(schema, value))
    throw new AppError(
      "copier-unfit",
      `cannot ${what}: restic said something that is not understood; use a version that this was tried with`,
    );
  return value;
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
