import { readFileSync } from "node:fs";

/** glibc's first; below it Node names the death itself. */
const firstRealTime = 34;

/**
 * Whether this real-time signal would end the process: it neither handles nor ignores nor blocks it (a blocked one is read by signalfd). Node
 * reports a death by a real-time signal as exit status 0, so this is the only way to know one. False when it cannot be seen.
 */
export function wouldDieUnseen(pid: number, signal: number): boolean {
  if (signal < firstRealTime) return false;
  try {
    const status = readFileSync(`/proc/${pid}/status`, "latin1");
    const bit = 1n << BigInt(signal - 1);
    return ["SigCgt", "SigIgn", "SigBlk"].every((field) => {
      const mask = new RegExp(`^${field}:\\s+([0-9a-f]+)$`, "m").exec(status)?.[1];
      return mask !== undefined && (BigInt(`0x${mask}`) & bit) === 0n;
    });
  } catch {
    return false;
  }
}
