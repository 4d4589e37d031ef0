import { AppError } from "@baton/protocol";
import { type RunLimit, runProgram } from "./restic-process.ts";

export interface ResticVersion {
  readonly text: string;
  /** Leaves holes where a file has long runs of zeros. */
  readonly sparse: boolean;
  /** Writes into a tree that is there only what differs. */
  readonly overwrite: boolean;
}

/** Debian 12's. */
const minimum = [0, 14] as const;

/** @throws AppError `copier-unfit` where it is missing, too old, or no restic. */
export async function readResticVersion(
  program: string,
  environment: Readonly<Record<string, string>>,
  limit: RunLimit,
): Promise<ResticVersion> {
  const what = "copy volumes";
  let first = "";
  await runProgram({
    ...limit,
    what,
    command: [program, "version"],
    environment,
    onLine: (line) => (first ||= line),
  });
  const [, major, minor, patch] = /^restic (\d+)\.(\d+)\.(\d+)\b/.exec(first) ?? [];
  if (major === undefined)
    throw new AppError(
      "copier-unfit",
      `cannot ${what}: "${program}" does not say that it is restic; say where it is`,
    );
  const isAtLeast = ([wantedMajor, wantedMinor]: readonly [number, number]): boolean =>
    Number(major) > wantedMajor || (Number(major) === wantedMajor && Number(minor) >= wantedMinor);
  const text = `${major}.${minor}.${patch}`;
  if (!isAtLeast(minimum))
    throw new AppError(
      "copier-unfit",
      `cannot ${what}: "${program}" is restic ${text}; install ${minimum.join(".")} or later`,
    );
  return { text, sparse: isAtLeast([0, 15]), overwrite: isAtLeast([0, 17]) };
}
