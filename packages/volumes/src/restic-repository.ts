import { basename, dirname, join } from "node:path";
import { type AccessKey, AppError } from "@baton/protocol";
import * as v from "valibot";
import { progressOf, watchWrites } from "./progress.ts";
import {
  backupLineSchema,
  errorLineSchema,
  forgottenSchema,
  parseJson,
  parseOutput,
  type SnapshotLine,
  snapshotsSchema,
  statsSchema,
} from "./restic-output.ts";
import { failureOf } from "./restic-failure.ts";
import { type ProgramRun, type RunLimit, runProgram } from "./restic-process.ts";
import { readResticVersion } from "./restic-version.ts";
import type { Repository, Snapshot } from "./restic.port.ts";

export interface RepositoryOptions {
  /** "restic", or where it is. */
  readonly program: string;
  readonly storage: {
    readonly endpoint: string;
    readonly region: string;
    readonly bucket: string;
    readonly prefix: string;
    readonly addressing?: "path" | "virtual" | undefined;
    /** A file of certificates (PEM) to trust instead of the system's. */
    readonly caFile?: string | undefined;
  };
  readonly application: string;
  readonly credentials: AccessKey;
  /** What encrypts the repository. */
  readonly key: string;
  /** Where restic keeps what it knows of the repository; losing it costs time only. */
  readonly cacheDirectory: string;
  /** KiB per second. */
  readonly limitUpload?: number | undefined;
  readonly limitDownload?: number | undefined;
}

/**
 * Dies with us, and lets everything else go first. (util-linux, coreutils; restic ends up as the very process that is spawned.)
 */
const background = ["setpriv", "--pdeathsig", "KILL", "nice", "-n", "19", "ionice", "-c", "3"] as const;

/** Below the binding's prefix, so that whoever may write there may write here, and no other application. */
const repositoryFolder = ".volumes";

/** Reads the program's version. @throws AppError as {@link Repository} */
export async function openRepository(options: RepositoryOptions, limit: RunLimit): Promise<Repository> {
  const environment = environmentOf(options);
  const version = await readResticVersion(options.program, baseEnvironment(options), limit);
  const { storage, application } = options;
  const global = [
    "-o",
    `s3.region=${storage.region}`,
    "-o",
    `s3.bucket-lookup=${bucketLookup(storage.addressing)}`,
    ...(storage.caFile === undefined ? [] : ["--cacert", storage.caFile]),
    ...(options.limitUpload === undefined ? [] : ["--limit-upload", String(options.limitUpload)]),
    ...(options.limitDownload === undefined ? [] : ["--limit-download", String(options.limitDownload)]),
  ];

  /** With a lock in its way it takes away what restic calls stale, and tries once more. */
  async function restic(
    params: Omit<ProgramRun, "command" | "environment"> & {
      readonly args: readonly string[];
      /** Ends that are no failure. */
      readonly accept?: readonly number[];
    },
  ): Promise<{ readonly status: number; readonly output: string; readonly errors: readonly string[] }> {
    const { args, accept = [0], onLine } = params;
    const endsAt = performance.now() + params.deadlineMs;
    const once = async (run: readonly string[], tell = onLine) => {
      const output: string[] = [];
      const end = await runProgram({
        ...params,
        deadlineMs: Math.max(1, endsAt - performance.now()),
        command: [...background, options.program, ...global, ...run],
        environment,
        onLine: tell ?? ((line) => output.push(line)),
      });
      return { ...end, output: output.join("\n") };
    };
    let end = await once(args);
    if (!accept.includes(end.status) && isLocked(end.errors)) {
      await once(["unlock"], () => undefined);
      end = await once(args);
    }
    if (!accept.includes(end.status)) throw failureOf(params.what, end.status, end.errors);
    return end;
  }

  async function listSnapshots(limit: RunLimit, filter: readonly string[]): Promise<readonly Snapshot[]> {
    const what = `list the snapshots of ${application}`;
    const args = ["snapshots", "--json", ...filter];
    const { output } = await restic({ ...limit, what, args });
    return (parseOutput(snapshotsSchema, output, what) ?? []).flatMap((line) => toSnapshot(line) ?? []);
  }

  const repository: Repository = {
    async init(limit) {
      const what = `make the repository of ${application}`;
      const { status, errors } = await restic({ ...limit, what, args: ["init"], accept: [0, 1] });
      if (status !== 0 && !errors.some((line) => /already (initialized|exists)/.test(line)))
        throw failureOf(what, status, errors);
      // Whether the key is its key, whoever made it.
      await restic({ ...limit, what: `open the repository of ${application}`, args: ["cat", "config"] });
    },

    async backup({ path, volume, epoch, kind, exclude, onProgress, ...limit }) {
      const what = `make a snapshot of the volume ${volume}`;
      const startedAt = performance.now();
      let summary: Extract<v.InferOutput<typeof backupLineSchema>, { message_type: "summary" }> | undefined;
      const { errors } = await restic({
        ...limit,
        what,
        // From beside it: so its own owner and mode are in the snapshot, and nothing of where it is.
        workingDirectory: dirname(path),
        args: [
          "backup",
          "--json",
          "--host",
          application,
          "--tag",
          `volume:${volume}`,
          "--tag",
          `epoch:${epoch}`,
          "--tag",
          `kind:${kind}`,
          ...exclude.flatMap((each) => ["--exclude", literal(join(path, each))]),
          "--",
          `./${basename(path)}`,
        ],
        // Something could not be read: said in the result.
        accept: [0, 3],
        onLine: (text) => {
          const line = parseOutput(backupLineSchema, text, what);
          const elapsedMs = performance.now() - startedAt;
          if (line.message_type === "status")
            onProgress?.(progressOf(line.bytes_done, line.total_bytes, elapsedMs));
          else {
            summary = line;
            // A quick one tells of nothing before its end.
            onProgress?.(progressOf(line.total_bytes_processed, line.total_bytes_processed, elapsedMs));
          }
        },
      });
      if (summary === undefined)
        throw new AppError("copier-failed", `cannot ${what}: restic said no end of it; do it again`);
      const [snapshot] = await listSnapshots(limit, [summary.snapshot_id]);
      if (snapshot === undefined)
        throw new AppError("copier-failed", `cannot ${what}: the snapshot is not there; do it again`);
      return {
        snapshot,
        files: summary.total_files_processed,
        bytes: summary.total_bytes_processed,
        bytesAdded: summary.data_added,
        unread: errors.flatMap((text) => {
          const line = parseJson(text);
          return v.is(errorLineSchema, line) ? [line.item] : [];
        }),
      };
    },

    snapshots({ volume, ...limit }) {
      const tag = volume === undefined ? [] : ["--tag", `volume:${volume}`];
      return listSnapshots(limit, ["--host", application, ...tag]);
    },

    async sizeOf({ id, ...limit }) {
      const what = `look at the snapshot ${id}`;
      const args = ["stats", "--mode", "restore-size", "--json", id];
      const { output } = await restic({ ...limit, what, args });
      const { total_size, total_file_count } = parseOutput(statsSchema, output, what);
      return { bytes: total_size, files: total_file_count };
    },

    async restore({ snapshot, target, onProgress, ...limit }) {
      const { bytes } =
        onProgress === undefined ? { bytes: 0 } : await repository.sizeOf({ ...limit, id: snapshot.id });
      await restic({
        ...limit,
        what: `restore the snapshot ${snapshot.id}`,
        args: [
          "restore",
          snapshot.id,
          "--target",
          target,
          ...(version.sparse ? ["--sparse"] : []),
          ...(version.overwrite ? ["--overwrite", "if-changed", "--delete"] : []),
        ],
        onLine: () => undefined,
        onStart: (pid, ended) => {
          if (onProgress !== undefined) watchWrites({ pid, ended, bytesTotal: bytes, onProgress });
        },
      });
    },

    async forget({ volume, keepLast, keepWithinDays, ...limit }) {
      const what = `forget old snapshots of the volume ${volume}`;
      const { output } = await restic({
        ...limit,
        what,
        args: [
          "forget",
          "--json",
          "--host",
          application,
          "--tag",
          `volume:${volume}`,
          "--group-by",
          "",
          "--keep-last",
          String(keepLast),
          ...(keepWithinDays === undefined ? [] : ["--keep-within", `${keepWithinDays}d`]),
        ],
      });
      const groups = parseOutput(forgottenSchema, output, what);
      const forgotten = groups
        .flatMap(({ remove }) => remove ?? [])
        .flatMap((line) => toSnapshot(line) ?? []);
      if (forgotten.length > 0) await restic({ ...limit, what, args: ["prune"], onLine: () => undefined });
      return forgotten;
    },

    async check({ readData, ...limit }) {
      const what = `check the repository of ${application}`;
      const args = ["check", ...(readData === true ? ["--read-data"] : [])];
      await restic({ ...limit, what, args, onLine: () => undefined });
    },
  };
  return repository;
}

const isLocked = (errors: readonly string[]): boolean =>
  errors.some((line) => line.includes("unable to create lock"));

const bucketLookup = (addressing: "path" | "virtual" | undefined): string =>
  addressing === "virtual" ? "dns" : "path";

function baseEnvironment({ cacheDirectory }: RepositoryOptions): Record<string, string> {
  return {
    PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    LC_ALL: "C.UTF-8",
    RESTIC_CACHE_DIR: cacheDirectory,
    // Twice a second; else it tells nothing where there is no terminal.
    RESTIC_PROGRESS_FPS: "2",
  };
}

/** Both keys go to the one process that needs them, and are in no argument, which every user may read. */
function environmentOf(options: RepositoryOptions): Record<string, string> {
  const { storage, credentials } = options;
  return {
    ...baseEnvironment(options),
    RESTIC_REPOSITORY: `s3:${storage.endpoint}/${storage.bucket}/${storage.prefix}${repositoryFolder}`,
    RESTIC_PASSWORD: options.key,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    ...(credentials.sessionToken === undefined ? {} : { AWS_SESSION_TOKEN: credentials.sessionToken }),
  };
}

/** For restic's patterns, which are those of Go's filepath.Match. */
const literal = (path: string): string => path.replaceAll(/[\\*?[\]]/g, "\\$&");

/** Null for a snapshot that is none of ours: somebody else used the repository. */
function toSnapshot({ id, time, paths, tags }: SnapshotLine): Snapshot | null {
  const tag = (name: string): string | undefined =>
    tags?.find((each) => each.startsWith(`${name}:`))?.slice(name.length + 1);
  const [volume, epoch, kind] = [tag("volume"), Number(tag("epoch")), tag("kind")];
  const [path] = paths;
  if (volume === undefined || !Number.isSafeInteger(epoch) || path === undefined) return null;
  if (kind !== "pass" && kind !== "final") return null;
  return { id, takenAt: time, volume, epoch, kind, folder: basename(path) };
}
