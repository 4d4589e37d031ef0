/** `taken`: Krake goes on; `later`: ask again; `refused`: it would be the same for ever. */
export type KrakeVerdict = "taken" | "later" | "refused";

/** Krake comes to these only after it took a confirmation. RUNNING follows too, but an observer can write it at any time. */
const laterStates: readonly string[] = ["MIGRATING", "DELETING", "DELETED"];

/**
 * What an answer of Krake's API to a confirmation means. A 200 is no acceptance in itself: in most states Krake answers it and does nothing.
 * Redirects are not followed: like silence they are tried again.
 *
 * @param state `status.state` of the answered record; null when there is none
 * @param isRepeat an earlier confirmation of the same stop may have been taken, and its answer lost
 */
export function judgeKrakeAnswer(status: number, state: string | null, isRepeat: boolean): KrakeVerdict {
  if (status === 200) {
    const isTaken = state === "READY_FOR_ACTION" || (isRepeat && laterStates.includes(state ?? ""));
    return isTaken ? "taken" : "later";
  }
  const isTransient = status < 400 || status > 499 || [408, 409, 425, 429].includes(status);
  return isTransient ? "later" : "refused";
}
