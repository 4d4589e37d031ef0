import { constants } from "node:fs";
import { access, stat, statfs } from "node:fs/promises";
import { delimiter, isAbsolute, join, resolve } from "node:path";
import type { ClusterRoom, Workload } from "../cluster.port.ts";

/** What an agent below `directory` would find for the workload; nothing is made or changed. */
export async function inspectRoom(directory: string, workload: Workload): Promise<ClusterRoom> {
  const { command, workingDirectory, environment } = workload;
  const missing: string[] = [];
  if (workingDirectory !== undefined && !(await isDirectory(workingDirectory)))
    missing.push(`directory "${workingDirectory}"`);
  const [program = ""] = command;
  const folders = (environment["PATH"] ?? process.env["PATH"] ?? "").split(delimiter);
  const paths = program.includes("/")
    ? [isAbsolute(program) ? program : resolve(workingDirectory ?? directory, program)]
    : folders.filter((folder) => folder !== "").map((folder) => join(folder, program));
  const found = await Promise.all(paths.map(isExecutable));
  if (!found.includes(true)) missing.push(`program "${program}"`);
  return { freeBytes: await freeBytes(directory), missing };
}

const isExecutable = (path: string): Promise<boolean> =>
  access(path, constants.X_OK).then(
    () => true,
    () => false,
  );

const isDirectory = (path: string): Promise<boolean> =>
  stat(path).then(
    (seen) => seen.isDirectory(),
    () => false,
  );

/** Of what this very user may still write. */
const freeBytes = (directory: string): Promise<number | null> =>
  statfs(directory).then(
    ({ bavail, bsize }) => bavail * bsize,
    () => null,
  );
