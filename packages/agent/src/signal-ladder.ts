import type { GoneResult, ProcessIdentity, TreeScan } from "@baton/process-tree";
import { signalTree, waitUntilGone } from "@baton/process-tree";
import { type Hook, parseSignal } from "@baton/protocol";
import type { Application } from "./application.ts";
import type { Deadline } from "./deadline.ts";
import { reasonOf } from "./log.ts";
import { wouldDieUnseen } from "./signal-disposition.ts";

export interface SentSignal {
  readonly signal: string;
  /** ISO 8601. */
  readonly at: string;
  processes: number;
}

export interface Ladder {
  /** In the order of their first sending. */
  readonly signals: readonly SentSignal[];
  /** What went wrong on the way, in words. */
  readonly failures: ReadonlySet<string>;
  /** On the clock of `performance.now()`; null before the first. */
  readonly firstSignalAt: number | null;
  readonly killed: boolean;
  /** A real-time signal that the main process was sent and had no answer to: it died of it, though Node says "exit status 0". */
  readonly unseenDeath: string | null;
  /** Sends one rung's signal to whom it is for, and waits until the whole tree is gone or the rung's time is over. Null: nothing could be seen. */
  climb(rung: {
    readonly signal: string;
    readonly to: Hook["signalTo"];
    /** The rung's own. */
    readonly deadline: Deadline;
    readonly first: Promise<TreeScan>;
    /** Goes on with the rung before: whoever got its signal does not get it again. */
    readonly goesOn?: boolean;
  }): Promise<GoneResult | null>;
}

const rounds = 5;

export function createLadder(params: {
  readonly application: Application;
  /** After the first round of each signal. */
  readonly onSignal: () => void;
}): Ladder {
  const { application, onSignal } = params;
  /** Who got the signal of this rung. */
  let reached = new Set<string>();
  const main = new AbortController();
  const mainEnded = main.signal;
  void application.exited.then(() => main.abort());
  const signals: SentSignal[] = [];
  const failures = new Set<string>();
  let firstSignalAt: number | null = null;
  let killed = false;
  let unseenDeath: string | null = null;

  /** Sends `signal` to those that did not get it yet, and wakes them: a stopped process would not see it otherwise. */
  const send = async (signal: string, processes: readonly ProcessIdentity[]): Promise<void> => {
    const fresh = processes.filter((one) => !reached.has(`${one.pid}:${one.startTime}`));
    if (fresh.length === 0) return;
    for (const one of fresh) reached.add(`${one.pid}:${one.startTime}`);
    const at = new Date().toISOString();
    const sentAt = performance.now();
    let count = fresh.length;
    try {
      const { number } = parseSignal(signal);
      const { root } = application;
      const hitsRoot = root !== null && fresh.some(({ pid }) => pid === root.pid);
      if (hitsRoot && wouldDieUnseen(root.pid, number)) unseenDeath = signal;
      // All of them are woken: a SIGSTOP on its way is not seen in the state yet, but SIGCONT takes it back (signal(7)).
      const sent = await signalTree(fresh, number, { wake: signal !== "SIGKILL" });
      count = sent.sent.length;
    } catch (error) {
      failures.add(reasonOf(error));
    }
    if (count === 0) return;
    firstSignalAt ??= sentAt;
    if (signal === "SIGKILL") killed = true;
    const last = signals.at(-1);
    if (last?.signal === signal) last.processes += count;
    else {
      signals.push({ signal, at, processes: count });
      onSignal();
    }
  };

  /** Whom a rung is for: the main process alone while it lives, if it looks after its own. */
  const addressees = (
    members: readonly ProcessIdentity[],
    to: Hook["signalTo"],
  ): readonly ProcessIdentity[] => {
    const { root, ended } = application;
    if (to === "tree" || root === null || ended !== null) return members;
    const main = members.filter(({ pid, startTime }) => pid === root.pid && startTime === root.startTime);
    return main.length > 0 ? main : members;
  };

  return {
    signals,
    failures,
    get firstSignalAt() {
      return firstSignalAt;
    },
    get killed() {
      return killed;
    },
    get unseenDeath() {
      return unseenDeath;
    },
    async climb({ signal, to, deadline, first, goesOn = false }) {
      if (!goesOn) reached = new Set();
      try {
        let scan = await first;
        for (let round = 0; round < rounds && scan.members.length > 0; round += 1) {
          const before = reached.size;
          await send(signal, addressees(scan.members, to));
          // Born between the look and the signal: until a look finds nobody new.
          if (reached.size === before || to === "main") break;
          scan = await application.scan();
        }
        // Its end is worth a look at once; and those that it leaves behind are told then, not at the end of the time.
        let endOfMain = application.ended === null ? mainEnded : null;
        for (;;) {
          const { moved } = deadline;
          try {
            return await waitUntilGone({
              scan: async () => {
                const late = await application.scan();
                await send(signal, addressees(late.members, to));
                return late;
              },
              known: application.known(),
              deadlineAt: deadline.at,
              pollMs: Math.min(25, 3 + reached.size),
              signal: endOfMain === null ? moved : AbortSignal.any([moved, endOfMain]),
            });
          } catch (error) {
            if (endOfMain?.aborted === true) {
              endOfMain = null;
              if (to === "main") await send(signal, (await application.scan()).members);
            } else if (!moved.aborted) throw error;
          }
        }
      } catch (error) {
        failures.add(reasonOf(error));
        // Blind, but not idle: those that are known shall end all the same.
        await send(signal, application.known());
        return null;
      }
    },
  };
}
