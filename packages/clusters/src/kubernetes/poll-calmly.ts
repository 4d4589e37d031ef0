import { pollUntil } from "../deadline.ts";

/** At a pace that an API server does not mind. */
export const pollCalmly = <T>(signal: AbortSignal, ask: () => Promise<T | undefined>): Promise<T> =>
  pollUntil(signal, ask, 200);
