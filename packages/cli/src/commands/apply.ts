import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { AppError } from "@baton/protocol";
import { type ManifestFile, parseManifests } from "../manifests.ts";
import { type CommandContext, type GlobalOptions, openSession } from "./session.ts";

export interface ApplyOptions extends GlobalOptions {
  /** Paths; "-" is standard input. */
  readonly file: readonly string[];
}

/** Sends nothing before every document of every file has been read and found good. */
export async function apply(context: CommandContext, options: ApplyOptions): Promise<void> {
  const files: ManifestFile[] = [];
  for (const path of options.file) files.push(await readManifestFile(path, context));
  const manifests = parseManifests(files);
  const { client, print } = await openSession(context, options);
  for (const manifest of manifests) {
    const stored = await client.apply(manifest, context.signal);
    print(stored, () => [`${stored.kind} ${stored.name} applied`]);
  }
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
