import type { CommitEntry } from "@baton/dev-store";
import { readCommitLog, readCommittedBody } from "@baton/dev-store";
import type { Handover } from "./checker.ts";
import type { Segment } from "./segment.ts";
import { decodeSegment, segmentsPrefix } from "./segment.ts";

const STATES: readonly Handover["state"][] = ["granted", "running", "stopped", "fenced"];

export type StoredLedger = {
  /** What the bucket holds now. */
  readonly segments: readonly Segment[];
  /** Accepted writes and deletes below the prefix, in commit order. */
  readonly commits: readonly CommitEntry[];
  /** Accepted writes of this prefix's lease, in commit order. */
  readonly handovers: readonly Handover[];
};

/**
 * Reads what the checker needs straight from a development store's directory: its commit log and the stored bytes, no
 * application asked. `keyOf` gives the access key of a placement, undefined if it has none. Throws an Error naming the
 * object when a segment or a lease cannot be read.
 */
export async function readLedgerFromStore({
  directory,
  bucket,
  prefix,
  keyOf = () => undefined,
}: {
  readonly directory: string;
  readonly bucket: string;
  readonly prefix: string;
  readonly keyOf?: ((holder: string) => string | undefined) | undefined;
}): Promise<StoredLedger> {
  const log = (await readCommitLog(directory)).filter((commit) => commit.bucket === bucket);
  // A probe tries a placement's key on a scratch object of its own; that is no write of the application.
  const commits = log.filter(
    ({ key }) => key.startsWith(prefix) && !key.startsWith(`${prefix}.baton-probe-`),
  );

  const current = new Map<string, CommitEntry>();
  for (const commit of commits) {
    if (commit.operation === "put") current.set(commit.key, commit);
    else current.delete(commit.key);
  }
  const segments: Segment[] = [];
  for (const commit of current.values()) {
    if (!commit.key.startsWith(segmentsPrefix(prefix))) continue;
    segments.push(decodeSegment(commit.key, await readText(directory, commit)));
  }

  const handovers: Handover[] = [];
  const leaseKey = `.baton/leases/${prefix}lease.json`;
  for (const commit of log.filter(({ key }) => key === leaseKey)) {
    if (commit.operation === "delete") throw new Error(`cannot follow lease ${commit.key}: it was deleted`);
    const { state, holder } = parseLease(commit.key, await readText(directory, commit));
    handovers.push({ sequence: commit.sequence, state, holderKey: keyOf(holder) });
  }
  return { segments, commits, handovers };
}

async function readText(directory: string, commit: CommitEntry): Promise<string> {
  return new TextDecoder().decode(await readCommittedBody(directory, commit));
}

function parseLease(
  key: string,
  text: string,
): { readonly state: Handover["state"]; readonly holder: string } {
  const { state, holder } = JSON.parse(text) as Record<string, unknown>;
  const known = STATES.find((name) => name === state);
  if (known === undefined || typeof holder !== "string")
    throw new Error(`cannot follow lease ${key}: its state or holder is not known to this checker`);
  return { state: known, holder };
}
