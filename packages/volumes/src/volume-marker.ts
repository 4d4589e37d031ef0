import { open, readFile, rename } from "node:fs/promises";
import { dirname, join } from "node:path";
import { AppError } from "@baton/protocol";
import * as v from "valibot";

const held = v.object({
  /** The identity of the volume's folder: whatever else comes to be at its path is not it. */
  inode: v.string(),
  epoch: v.pipe(v.number(), v.safeInteger()),
  /** What it was restored from; null for one that was adopted, or began empty. */
  snapshot: v.nullable(v.string()),
});

const markerSchema = v.object({
  format: v.literal(1),
  application: v.string(),
  volume: v.string(),
  current: v.nullable(held),
  /** A whole copy that is about to take its place, and where it is. */
  next: v.nullable(v.object({ ...held.entries, staging: v.string() })),
});

export type VolumeMarker = v.InferOutput<typeof markerSchema>;

const name = "marker.json";

/** Null where there is none. @throws AppError `volume-foreign` for one that is not understood */
export async function readMarker(folder: string): Promise<VolumeMarker | null> {
  const file = join(folder, name);
  let value: unknown;
  try {
    value = JSON.parse(await readFile(file, "utf8"));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    if (!(error instanceof SyntaxError)) throw error;
  }
  if (!v.is(markerSchema, value))
    throw new AppError(
      "volume-foreign",
      `cannot use ${folder}: its ${name} is not understood; look at it, and remove it if it is nobody's`,
    );
  return value;
}

/** On disk, whole, before it returns. */
export async function writeMarker(folder: string, marker: VolumeMarker): Promise<void> {
  const part = join(folder, `${name}.part`);
  const file = await open(part, "w", 0o600);
  try {
    await file.writeFile(`${JSON.stringify(marker)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(part, join(folder, name));
  await syncFolder(folder);
  await syncFolder(dirname(folder));
}

export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
