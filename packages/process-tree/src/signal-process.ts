import { errorCode } from "./proc-file.ts";
import { isAliveNow } from "./process-identity.ts";
import type { ProcessIdentity } from "./process-identity.ts";

/**
 * Sends a signal to this very process, or says that it is gone. The identity is checked right before, with
 * nothing of ours in between; only a number that is recycled within these microseconds could still be hit.
 * @throws Error with code EPERM when we may not signal it: it is alive then
 */
export async function signalProcess(
  identity: ProcessIdentity,
  signal: NodeJS.Signals | number,
): Promise<"sent" | "gone"> {
  if (!isAliveNow(identity)) return "gone";
  try {
    process.kill(identity.pid, signal);
    return "sent";
  } catch (error) {
    if (errorCode(error) === "ESRCH") return "gone";
    throw error;
  }
}

/**
 * Signals each of the given processes in turn, all of them even if some refuse.
 * @throws AggregateError naming those that could not be signalled
 */
export async function signalTree(
  members: readonly ProcessIdentity[],
  signal: NodeJS.Signals | number,
): Promise<{ readonly sent: readonly ProcessIdentity[]; readonly gone: readonly ProcessIdentity[] }> {
  const sent: ProcessIdentity[] = [];
  const gone: ProcessIdentity[] = [];
  const errors: unknown[] = [];
  const refused: number[] = [];
  for (const member of members) {
    try {
      ((await signalProcess(member, signal)) === "sent" ? sent : gone).push(member);
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
