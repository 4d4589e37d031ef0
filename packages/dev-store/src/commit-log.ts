import { open, readFile } from "node:fs/promises";
import { join } from "node:path";

/** One accepted write. The log holds them in commit order; a refused write is never in it. */
export interface CommitEntry {
  /** 1, 2, 3 …, without a gap. */
  readonly sequence: number;
  /** ISO 8601, the store's clock when the write was decided. */
  readonly at: string;
  readonly operation: "put" | "delete";
  readonly bucket: string;
  readonly key: string;
  /** Quoted, as on the wire; null for a delete. */
  readonly etag: string | null;
  /** Bytes; 0 for a delete. */
  readonly size: number;
  readonly accessKeyId: string;
  /** What the request asked for: no condition, `If-None-Match: *`, or `If-Match`. */
  readonly condition: "none" | "absent" | "match";
  /** Where the body is, relative to the store's directory; null for a delete. */
  readonly file: string | null;
}

/** The append side of a store's log; only the process that holds the directory's lock has one. */
export interface CommitLog {
  /** The entries found at opening. */
  readonly recovered: ReadonlyArray<CommitEntry>;
  /** Resolves once the entries, and the names of their body files, are on disk. After an error the log's end is unknown. */
  append(entries: ReadonlyArray<CommitEntry>): Promise<void>;
  close(): Promise<void>;
}

export const bodiesFolder = "bodies";
const logFile = "commits.jsonl";

/**
 * Reads the accepted writes of a store, in commit order, also while the store runs; a torn last line is left out.
 * @throws Error when the directory has no log or a line in its middle is damaged.
 */
export async function readCommitLog(directory: string): Promise<CommitEntry[]> {
  return parse(await readFile(join(directory, logFile), "utf8"), directory);
}

/**
 * Reads the stored bytes of an accepted put, also of one that was overwritten or deleted later.
 * @throws Error for the entry of a delete.
 */
export async function readCommittedBody(directory: string, entry: CommitEntry): Promise<Uint8Array> {
  if (entry.file === null)
    throw new Error(`cannot read the body of commit ${entry.sequence}: it is a ${entry.operation}`);
  return readFile(join(directory, entry.file));
}

/** Opens the log for appending, creates it if need be, and cuts a torn last line off. */
export async function openCommitLog(directory: string): Promise<CommitLog> {
  const file = await open(join(directory, logFile), "a+");
  try {
    const text = await file.readFile("utf8");
    const recovered = parse(text, directory);
    await file.truncate(Buffer.byteLength(wholeLines(text)));
    await file.sync();
    const bodies = await open(join(directory, bodiesFolder), "r");
    return {
      recovered,
      async append(entries) {
        // The bodies' names must be durable before a line speaks of them.
        await bodies.sync();
        await file.appendFile(entries.map((entry) => `${JSON.stringify(entry)}\n`).join(""));
        await file.datasync();
      },
      async close() {
        await bodies.close();
        await file.close();
      },
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

function wholeLines(text: string): string {
  return text.slice(0, text.lastIndexOf("\n") + 1);
}

function parse(text: string, directory: string): CommitEntry[] {
  const lines = wholeLines(text).split("\n").slice(0, -1);
  return lines.map((line, at) => {
    const entry = parseLine(line);
    if (entry?.sequence !== at + 1)
      throw new Error(
        `cannot read the commit log in ${directory}: line ${at + 1} is not commit ${at + 1}; restore it or use another directory`,
      );
    return entry;
  });
}

function parseLine(line: string): CommitEntry | undefined {
  try {
    return JSON.parse(line) as CommitEntry;
  } catch {
    return undefined;
  }
}
