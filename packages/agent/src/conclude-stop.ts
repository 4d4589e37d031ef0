import type { GoneResult } from "@baton/process-tree";
import type { Check, Hook, Receipt } from "@baton/protocol";
import type { Application } from "./application.ts";
import type { Ending } from "./facts.ts";
import { judgeEnding } from "./judge-ending.ts";
import type { Ladder } from "./signal-ladder.ts";

export interface Seen {
  readonly treeGone: boolean;
  /** On the clock of `performance.now()`: the last look. */
  readonly seenAt: number;
  /** Processes of the tree that certainly live. */
  readonly alive: number;
  /** What was left or could not be read, in words. */
  readonly remaining: readonly string[];
  readonly checks: readonly Check[];
  readonly phases: Receipt["phases"];
}

/** What a stop saw, as the part of its receipt that does not depend on who asked. */
export function concludeStop(params: {
  readonly application: Application;
  readonly hook: Hook;
  readonly exitedBefore: boolean;
  readonly ladder: Ladder;
  readonly seen: Seen;
}): Ending {
  const { application, hook, exitedBefore, ladder, seen } = params;
  const { treeGone, seenAt } = seen;
  const reported = application.ended?.exit ?? null;
  const { unseenDeath } = ladder;
  const exit = unseenDeath !== null && reported?.code === 0 ? { code: null, signal: unseenDeath } : reported;
  const { gracefulExitCodes, gracefulSignals } = hook;
  const { killed, signals, firstSignalAt, failures } = ladder;
  const { claimedOnly } = application;
  return {
    ...judgeEnding({ ...seen, killed, exit, exitedBefore, gracefulExitCodes, gracefulSignals, claimedOnly }),
    exit,
    signals: [...signals],
    phases: seen.phases,
    evidence: {
      treeGone,
      remaining: treeGone ? [] : [...seen.remaining, ...failures],
      checks: [...seen.checks],
      bootId: application.facts.bootId,
    },
    timings: {
      signalledAt: signals[0]?.at ?? null,
      exitedAt: application.ended?.at ?? null,
      verifiedAt: treeGone ? new Date().toISOString() : null,
      stopMs: treeGone && firstSignalAt !== null ? seenAt - firstSignalAt : null,
    },
  };
}

export function remainingOf(result: GoneResult | null): string[] {
  if (result === null) return ["the process table could not be read"];
  const { members, unreadable, settled } = result.scan;
  const remaining = members
    .slice(0, 50)
    .map(({ pid, comm, state }) => `process ${pid} (${comm}) lives, state ${state}`);
  for (const { pid, comm, uid, reason } of unreadable.slice(0, 50))
    remaining.push(`process ${pid} (${comm}, user ${uid}) cannot be looked into: ${reason}`);
  if (!settled) remaining.push("processes came and went faster than they could be listed");
  return remaining;
}
