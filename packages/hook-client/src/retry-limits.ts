/** How often something that may pass is tried again. All of it ends by the deadline at the latest. */
export interface RetryLimits {
  /** After the first try; `Infinity` for as long as the deadline allows. */
  readonly retries?: number | undefined;
  /** Doubles with each try, jittered. */
  readonly firstPauseMs?: number | undefined;
  readonly longestPauseMs?: number | undefined;
}

/** The same as p-retry says it. */
export const retryOptions = ({
  retries = Infinity,
  firstPauseMs = 20,
  longestPauseMs = 1_000,
}: RetryLimits) => ({
  retries,
  minTimeout: firstPauseMs,
  maxTimeout: longestPauseMs,
  factor: 2,
  randomize: true,
});
