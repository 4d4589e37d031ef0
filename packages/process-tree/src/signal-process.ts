import { setImmediate } from "node:timers/promises";
import { errorCode } from "./proc-file.ts";
import { isAliveNow } from "./process-identity.ts";
import type { ProcessIdentity } from "./process-identity.ts";

/** Processes signalled in one turn of the event loop: some 10 ms, so that a tree of thousands stops nobody else's work. */
const BATCH = 100;

/**
 * Sends a signal, by name or number (real-time ones have numbers only), to this very process, or says that it
 * is gone. The identity is checked right before, with nothing of ours in between; only a number that is
 * recycled within these microseconds could still be hit.
 * @throws Error with code EPERM when we may not signal it: it is alive then; RangeError for a number that is no
 * signal
 */
export async function signalProcess(
  identity: ProcessIdentity,
  signal: NodeJS.Signals | number,
): Promise<"sent" | "gone"> {
  requireSignal(signal);
  return signalNow(identity, signal);
}

/**
 * Signals each of the given processes in turn, all of them even if some refuse. With `wake` each gets SIGCONT right
 * after, without which a stopped process would not see the signal (signal(7)): half of what a second round costs.
 * @throws AggregateError naming those that could not be signalled; RangeError for a number that is no signal
 */
export async function signalTree(
  members: readonly ProcessIdentity[],
  signal: NodeJS.Signals | number,
  { wake = false }: { readonly wake?: boolean } = {},
): Promise<{ readonly sent: readonly ProcessIdentity[]; readonly gone: readonly ProcessIdentity[] }> {
  requireSignal(signal);
  const sent: ProcessIdentity[] = [];
  const gone: ProcessIdentity[] = [];
  const errors: unknown[] = [];
  const refused: number[] = [];
  for (const [index, member] of members.entries()) {
    if (index > 0 && index % BATCH === 0) await setImmediate();
    try {
      const result = signalNow(member, signal);
      (result === "sent" ? sent : gone).push(member);
      // Nothing of ours ran since the check, so the number is no stranger's, though it may be nobody's by now.
      if (wake && result === "sent") wakeUp(member.pid);
    } catch (error) {
      errors.push(error);
      refused.push(member.pid);
    }
  }
  if (errors.length === 0) return { sent, gone };
  throw new AggregateError(
    errors,
    `cannot send ${signal} to ${refused.join(", ")}: see the errors; the others were signalled`,
  );
}

function signalNow(identity: ProcessIdentity, signal: NodeJS.Signals | number): "sent" | "gone" {
  if (!isAliveNow(identity)) return "gone";
  try {
    process.kill(identity.pid, signal);
    return "sent";
  } catch (error) {
    if (errorCode(error) === "ESRCH") return "gone";
    throw error;
  }
}

function wakeUp(pid: number): void {
  try {
    process.kill(pid, "SIGCONT");
  } catch (error) {
    if (errorCode(error) !== "ESRCH") throw error;
  }
}

/** 0 would reach nobody and look sent; NaN would become SIGTERM. */
function requireSignal(signal: NodeJS.Signals | number): void {
  if (typeof signal === "number" && !(Number.isInteger(signal) && signal >= 1 && signal <= 64))
    throw new RangeError(`cannot send signal ${signal}: a signal's number is from 1 to 64`);
}
