import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { AppError, type Manifest } from "@baton/protocol";
import { type ManifestFile, parseManifests } from "../manifests.ts";
import { type CommandContext, type GlobalOptions, openSession } from "./session.ts";

export interface ApplyOptions extends GlobalOptions {
  /** Paths; "-" is standard input. */
  readonly file: readonly string[];
  readonly dryRun?: boolean;
}

/** Sends nothing before every document of every file has been read and found good. */
export async function apply(context: CommandContext, options: ApplyOptions): Promise<void> {
  const manifests = await readManifests(context, options.file);
  const { client, print } = await openSession(context, options);
  for (const manifest of manifests) {
    if (options.dryRun === true) {
      const { kind, name } = manifest;
      const change = changeOf(manifest, await client.declared(kind, context.signal));
      print({ kind, name, change }, () => [`${kind} ${name} ${changes[change]}`]);
      continue;
    }
    const stored = await client.apply(manifest, context.signal);
    print(stored, () => [`${stored.kind} ${stored.name} applied`]);
  }
}

const changes = {
  create: "would be created",
  replace: "would be replaced",
  none: "is declared so already",
} as const;

/** Whether it is taken is another matter: that is found out by applying it, which probes and checks. */
function changeOf(manifest: Manifest, declared: readonly Manifest[]): keyof typeof changes {
  const present = declared.find(({ name }) => name === manifest.name);
  if (present === undefined) return "create";
  // What the probe found is filled in where nothing was said.
  const { ifMatch } = { ifMatch: undefined, ...present };
  return isDeepStrictEqual(present, said({ ifMatch, ...manifest })) ? "none" : "replace";
}

const said = (manifest: object): object =>
  Object.fromEntries(Object.entries(manifest).filter(([, value]) => value !== undefined));

/** Every manifest of the files, in the order in which they are applied. @throws AppError `invalid-manifest` about all that is wrong. */
export async function readManifests(
  context: CommandContext,
  paths: readonly string[],
): Promise<readonly Manifest[]> {
  const files: ManifestFile[] = [];
  for (const path of paths) files.push(await readManifestFile(path, context));
  return parseManifests(files);
}

async function readManifestFile(path: string, { readInput }: CommandContext): Promise<ManifestFile> {
  if (path === "-") return { name: "standard input", directory: process.cwd(), text: await readInput() };
  try {
    return { name: path, directory: dirname(resolve(path)), text: await readFile(path, "utf8") };
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
    const why = code === "ENOENT" ? "there is no such file" : `it is not readable (${String(code)})`;
    throw new AppError("invalid-manifest", `cannot read ${path}: ${why}`, { cause });
  }
}
