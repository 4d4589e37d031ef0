/**
 * One look at a lease, on the observer's own monotonic clock: what it shows was there at some moment between asking and hearing the answer.
 * A look that failed shows nothing and is none.
 */
export interface LeaseLook {
  readonly etag: string;
  readonly askedAtMs: number;
  readonly answeredAtMs: number;
}

/** For people, and to choose what to try next. Never evidence (rule 6): a holder that is paused or cut off is as silent as a dead one. */
export interface LeaseObservation {
  readonly etag: string;
  readonly sinceMs: number;
  /** At least so long nobody wrote; less than in truth when the observer itself was suspended, never more. */
  readonly unchangedForMs: number;
  readonly looks: number;
}

/**
 * What is known after one more look. ETags never come back, since all bytes are unique, so the same one at two looks means that there was no write
 * in between, however far apart they are. No date is read: neither the lease's nor the observer's.
 *
 * @param before null at first, and after the observer's process has started anew, whose clock is another one
 */
export function observeLease(before: LeaseObservation | null, look: LeaseLook): LeaseObservation {
  const { etag, askedAtMs, answeredAtMs } = look;
  if (before?.etag !== etag) return { etag, sinceMs: answeredAtMs, unchangedForMs: 0, looks: 1 };
  const { sinceMs, unchangedForMs, looks } = before;
  // Looks may overlap: an earlier question that is answered later takes nothing back.
  return { etag, sinceMs, unchangedForMs: Math.max(unchangedForMs, askedAtMs - sinceMs), looks: looks + 1 };
}
