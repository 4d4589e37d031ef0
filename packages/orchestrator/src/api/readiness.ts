import { inTime } from "./in-time.ts";

/**
 * Says whether requests may be sent here: the database answers, and the end has not begun. It costs no token, so whoever asks meanwhile shares one
 * question. Never throws.
 */
export function createReadiness({
  ask,
  ending,
}: {
  /** One question to the database. */
  readonly ask: () => Promise<unknown>;
  readonly ending: AbortSignal;
}): () => Promise<boolean> {
  let asking: Promise<boolean> | undefined;
  const look = async (): Promise<boolean> => {
    try {
      await inTime(ask(), "say that it is ready");
      return true;
    } catch {
      return false;
    } finally {
      asking = undefined;
    }
  };
  return async () => {
    asking ??= look();
    return (await asking) && !ending.aborted;
  };
}
