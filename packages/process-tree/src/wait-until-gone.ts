import { setTimeout as delay } from "node:timers/promises";
import { listPids } from "./proc-file.ts";
import { identityKey, isAliveNow } from "./process-identity.ts";
import type { ProcessIdentity } from "./process-identity.ts";
import { requireWholeProc } from "./process-status.ts";
import type { TreeScan } from "./scan-facts.ts";

export interface WaitUntilGoneOptions {
  /** One `scanTree`; gets every member seen so far, dead ones too, to pass as its roots. */
  readonly scan: (seen: readonly ProcessIdentity[]) => Promise<TreeScan>;
  /** Members known already; those that a scan finds are added. */
  readonly known: readonly ProcessIdentity[];
  /** On the clock of `performance.now()`, in milliseconds. */
  readonly deadlineAt: number;
  /** Default: 25. */
  readonly pollMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export type GoneResult =
  | { readonly gone: true; readonly scan: TreeScan }
  /** `remaining`: alive at the end. Empty if something could only not be proven: see `scan`. */
  | { readonly gone: false; readonly remaining: readonly ProcessIdentity[]; readonly scan: TreeScan };

/**
 * Waits until nothing of a tree is left. Polls the known members, of which it looks at one that lives at most
 * and at each that died just once, and looks at every process once they are gone. Gone means: a scan that settled found no member and nothing unreadable. The last scan
 * is always made after the last wait, so a deadline that has passed already still gives one true answer.
 * @throws what `scan` throws; the signal's reason when aborted; Error when a known member may not be looked
 * at
 */
export async function waitUntilGone(options: WaitUntilGoneOptions): Promise<GoneResult> {
  const { scan, deadlineAt, pollMs = 25, signal } = options;
  if (!Number.isFinite(deadlineAt))
    throw new RangeError("cannot wait for a tree's end: the deadline is no time");
  const seen = new Map(options.known.map((identity) => [identityKey(identity), identity]));
  const undead = [...seen.values()];
  for (;;) {
    signal?.throwIfAborted();
    dropDead(undead);
    let pauseMs = pollMs;
    const expired = performance.now() >= deadlineAt;
    if (expired || undead.length === 0) {
      const startedAt = performance.now();
      const last = await scan([...seen.values()]);
      for (const member of last.members) {
        if (!seen.has(identityKey(member))) undead.push(member);
        seen.set(identityKey(member), member);
      }
      dropDead(undead);
      const isEmpty = last.members.length === 0 && last.unreadable.length === 0 && undead.length === 0;
      if (last.settled && isEmpty) return { gone: true, scan: last };
      if (expired) return { gone: false, remaining: undead.filter(isAliveNow), scan: last };
      // A scan that could not conclude is repeated, but takes at most half of the time.
      pauseMs = Math.max(pollMs, performance.now() - startedAt);
    }
    await pause(Math.min(pauseMs, deadlineAt - performance.now()), signal);
  }
}

/**
 * Takes the dead away up to the first that lives. A pid and start time that died once never live again. What
 * /proc does not list is gone once /proc is known to list everything; asking for each of thousands that are gone
 * would take longer than they took to die.
 */
function dropDead(identities: ProcessIdentity[]): void {
  let last = identities.at(-1);
  if (last === undefined || isAliveNow(last)) return;
  requireWholeProc();
  const listed = new Set(listPids());
  const visible = identities.filter(({ pid }) => listed.has(pid));
  for (last = visible.at(-1); last !== undefined && !isAliveNow(last); last = visible.at(-1)) visible.pop();
  identities.splice(0, identities.length, ...visible);
}

async function pause(pauseMs: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await delay(Math.max(0, pauseMs), undefined, signal && { signal });
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
}
