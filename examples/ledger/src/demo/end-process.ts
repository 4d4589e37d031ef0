import { setTimeout as delay } from "node:timers/promises";
import { type ProcessIdentity, isAlive, signalProcess } from "@baton/process-tree";

/** Asks this very process to end, and kills it when it does not. @returns whether it went when asked, or was gone before. */
export async function endProcess(
  process: ProcessIdentity,
  signal: NodeJS.Signals,
  graceMs: number,
): Promise<boolean> {
  if ((await signalProcess(process, signal)) === "gone") return true;
  for (const deadline = performance.now() + graceMs; performance.now() < deadline; await delay(20))
    if (!(await isAlive(process))) return true;
  await signalProcess(process, "SIGKILL");
  return false;
}
