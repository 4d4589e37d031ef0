import { mkdir, open, readdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { CommitEntry, CommitLog } from "./commit-log.ts";
import type { ReceivedBody } from "./receive-body.ts";
import { bodiesFolder, openCommitLog } from "./commit-log.ts";
import { lockDirectory } from "./directory-lock.ts";
import { S3Error } from "./s3-error.ts";

/** What must hold at the instant of the commit; `etag` is quoted, or "*" for any existing object. */
export type WriteCondition =
  { readonly kind: "none" } | { readonly kind: "absent" } | { readonly kind: "match"; readonly etag: string };

/** A write that waits for its turn; without a body it is a delete. */
export interface ProposedWrite {
  readonly bucket: string;
  readonly key: string;
  readonly accessKeyId: string;
  readonly condition: WriteCondition;
  readonly body?: ReceivedBody | undefined;
}

interface PendingWrite {
  readonly write: ProposedWrite;
  readonly resolve: (entry: CommitEntry) => void;
  readonly reject: (error: unknown) => void;
}

/** The objects of one directory: an index in memory, rebuilt from the commit log that every write goes through. */
export class ObjectStore {
  readonly directory: string;
  readonly #ignoreConditions: boolean;
  readonly #lock: { release(): void };
  readonly #log: CommitLog;
  readonly #commits: CommitEntry[];
  /** By bucket, then key; deleted objects are not in it. */
  readonly #heads = new Map<string, Map<string, CommitEntry>>();
  #queue: PendingWrite[] = [];
  #flushing: Promise<void> | undefined;
  #refusal: Error | undefined;

  private constructor(
    directory: string,
    ignoreConditions: boolean,
    lock: { release(): void },
    log: CommitLog,
  ) {
    this.directory = directory;
    this.#ignoreConditions = ignoreConditions;
    this.#lock = lock;
    this.#log = log;
    this.#commits = [...log.recovered];
    for (const entry of log.recovered) this.#apply(entry);
  }

  /** Creates or recovers the store of a directory and keeps it locked until `close`. */
  static async open(
    directory: string,
    options: { readonly ignoreConditions: boolean },
  ): Promise<ObjectStore> {
    await mkdir(join(directory, bodiesFolder), { recursive: true });
    const lock = lockDirectory(directory);
    try {
      const log = await openCommitLog(directory);
      await syncDirectory(directory);
      await syncDirectory(dirname(directory));
      await removeUncommittedBodies(directory, log.recovered);
      return new ObjectStore(directory, options.ignoreConditions, lock, log);
    } catch (error) {
      lock.release();
      throw error;
    }
  }

  /** Every accepted write, in commit order. */
  get commits(): ReadonlyArray<CommitEntry> {
    return this.#commits;
  }

  /** The latest put of every object in a bucket, by key. */
  objects(bucket: string): ReadonlyMap<string, CommitEntry> {
    return this.#heads.get(bucket) ?? new Map();
  }

  /**
   * Decides a write against everything committed before it and resolves once it is durable. Writes that arrive
   * while the disk is busy share its next fsync. A refused write's body is removed.
   * @throws S3Error `PreconditionFailed`, or `NoSuchKey` for `If-Match` on a missing object; any other error
   * means that the write's fate is unknown until the store is opened again.
   */
  async commit(write: ProposedWrite): Promise<CommitEntry> {
    const decided = new Promise<CommitEntry>((resolve, reject) =>
      this.#queue.push({ write, resolve, reject }),
    );
    this.#flushing ??= this.#flush();
    try {
      return await decided;
    } catch (error) {
      if (error instanceof S3Error && write.body !== undefined)
        await rm(join(this.directory, write.body.file), { force: true });
      throw error;
    }
  }

  /** Finishes the writes under way, refuses later ones, and gives the directory back. */
  async close(): Promise<void> {
    await this.#flushing;
    this.#refusal ??= new Error("the store is closed");
    await this.#log.close();
    this.#lock.release();
  }

  async #flush(): Promise<void> {
    while (this.#queue.length > 0) {
      const batch = this.#queue;
      this.#queue = [];
      await this.#commitBatch(batch);
    }
    this.#flushing = undefined;
  }

  async #commitBatch(batch: ReadonlyArray<PendingWrite>): Promise<void> {
    const accepted: CommitEntry[] = [];
    const answers = batch.map((pending) => {
      const refusal = this.#decide(pending.write, accepted);
      if (refusal !== undefined) return () => pending.reject(refusal);
      const entry = commitEntry(pending.write, this.#commits.length + accepted.length + 1);
      accepted.push(entry);
      return () => pending.resolve(entry);
    });
    try {
      if (this.#refusal !== undefined) throw this.#refusal;
      if (accepted.length > 0) await this.#log.append(accepted);
    } catch (error) {
      // The log may end in half a line now: what follows it would be lost with it at the next start.
      this.#refusal ??= new Error(
        "cannot commit: an earlier write of the commit log failed; restart the store",
        {
          cause: error,
        },
      );
      for (const pending of batch) pending.reject(error);
      return;
    }
    for (const entry of accepted) {
      this.#commits.push(entry);
      this.#apply(entry);
    }
    // Refusals wait too: one may rest on a write of this batch, which exists only now.
    for (const answer of answers) answer();
  }

  #decide(write: ProposedWrite, undurable: ReadonlyArray<CommitEntry>): S3Error | undefined {
    const { condition } = write;
    if (condition.kind === "none" || this.#ignoreConditions) return undefined;
    const last = undurable.findLast((entry) => entry.bucket === write.bucket && entry.key === write.key);
    const current = last ?? this.objects(write.bucket).get(write.key);
    const etag = current?.etag ?? undefined;
    if (condition.kind === "match" && etag === undefined)
      return new S3Error("NoSuchKey", "The object of the If-Match condition does not exist.");
    const holds =
      condition.kind === "absent" ? etag === undefined : condition.etag === "*" || condition.etag === etag;
    return holds
      ? undefined
      : new S3Error("PreconditionFailed", "The condition of the request does not hold.");
  }

  #apply(entry: CommitEntry): void {
    const objects = this.#heads.get(entry.bucket) ?? new Map<string, CommitEntry>();
    this.#heads.set(entry.bucket, objects);
    if (entry.operation === "put") objects.set(entry.key, entry);
    else objects.delete(entry.key);
  }
}

function commitEntry(write: ProposedWrite, sequence: number): CommitEntry {
  return {
    sequence,
    at: new Date().toISOString(),
    operation: write.body === undefined ? "delete" : "put",
    bucket: write.bucket,
    key: write.key,
    etag: write.body?.etag ?? null,
    size: write.body?.size ?? 0,
    accessKeyId: write.accessKeyId,
    condition: write.condition.kind,
    file: write.body?.file ?? null,
  };
}

/** Bodies that were received but not committed when the last process ended belong to no acknowledged write. */
async function removeUncommittedBodies(
  directory: string,
  entries: ReadonlyArray<CommitEntry>,
): Promise<void> {
  const committed = new Set(entries.map((entry) => entry.file));
  for (const name of await readdir(join(directory, bodiesFolder))) {
    const file = `${bodiesFolder}/${name}`;
    if (!committed.has(file)) await rm(join(directory, file));
  }
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
