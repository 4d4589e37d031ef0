import { resolve } from "node:path";
import { AppError, type ProbeRequest, type StorageView } from "@baton/protocol";
import {
  type StorageLinesOptions,
  renderProbe,
  renderRotation,
  renderStorage,
  renderStorageList,
} from "../view/storage-lines.ts";
import { colored, plain } from "../view/text.ts";
import { type ApplyOptions, readManifests } from "./apply.ts";
import { type CommandContext, type GlobalOptions, openSession } from "./session.ts";

/** Sends nothing before every document of every file has been read, found good, and is a storage. */
export async function addStorages(context: CommandContext, options: ApplyOptions): Promise<void> {
  const manifests = await readManifests(context, options.file);
  const other = manifests.find(({ kind }) => kind !== "storage");
  if (other !== undefined)
    throw new AppError(
      "invalid-manifest",
      `cannot add ${other.kind} "${other.name}": only storages are added here; use \`baton apply\` for the others`,
    );
  const { client, print } = await openSession(context, options);
  for (const manifest of manifests) {
    const stored = await client.apply(manifest, context.signal);
    print(stored, () => [`storage ${stored.name} added`]);
  }
}

export async function listStorages(context: CommandContext, options: GlobalOptions): Promise<void> {
  const { client, print, json } = await openSession(context, options);
  const views = await client.storages(context.signal);
  if (json) for (const view of views) print(view, () => []);
  else print(views, () => renderStorageList(views, linesOptions(context)));
}

export async function showStorage(
  context: CommandContext,
  name: string,
  options: GlobalOptions,
): Promise<void> {
  const { client, print } = await openSession(context, options);
  const view = await client.storage(name, context.signal);
  print(view, () => renderStorage(view, linesOptions(context)));
}

/** @returns the exit status: 1 where the storage is not fit. */
export async function probeStorage(
  context: CommandContext,
  name: string,
  options: GlobalOptions & ProbeRequest,
): Promise<number> {
  const { client, print, json } = await openSession(context, options);
  const { thorough = false, inFlight = false } = options;
  const view = await client.probeStorage(name, { thorough, inFlight }, context.signal);
  print(view, () => renderProbe(view, linesOptions(context)));
  if (view.fitness === "fit") return 0;
  if (!json) context.stderr.write(`baton: ${verdictOf(view)}\n`);
  return 1;
}

const verdictOf = ({ manifest, reason }: StorageView): string =>
  reason ?? `cannot use storage "${manifest.name}": it was not probed`;

/** @returns the exit status: 1 where a running application was not handed its new key. */
export async function rotateKeys(
  context: CommandContext,
  name: string,
  options: GlobalOptions & { readonly old?: string },
): Promise<number> {
  const { client, print, json } = await openSession(context, options);
  const old = options.old === undefined ? {} : { old: { file: resolve(options.old) } };
  const rotation = await client.rotateKeys(name, old, context.signal);
  print(rotation, () => renderRotation(rotation, linesOptions(context)));
  const left = rotation.placements.filter(({ taken }) => taken === null).length;
  if (left === 0) return 0;
  if (!json)
    context.stderr.write(
      `baton: cannot hand the new key over to every running application: ${left} ${left === 1 ? "goes" : "go"} on with the old one\n`,
    );
  return 1;
}

export async function removeStorage(
  context: CommandContext,
  name: string,
  options: GlobalOptions,
): Promise<void> {
  const { client, print } = await openSession(context, options);
  await client.removeStorage(name, context.signal);
  print({ removed: name }, () => [`storage ${name} removed; its bucket was not touched`]);
}

/** In a pipe nothing is cut or broken. */
function linesOptions({ stdout }: CommandContext): StorageLinesOptions {
  const width = stdout.isTTY === true ? (stdout.columns ?? 80) : Number.MAX_SAFE_INTEGER;
  return { width, now: Date.now(), paint: stdout.hasColors?.() === true ? colored : plain };
}
