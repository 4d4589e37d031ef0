import type { Hook } from "@baton/protocol";

/** What a stop still has to do, each with the time that it would like, in ms. */
export interface Demand {
  readonly what: "drain" | "quiesce" | "signal" | "kill" | "export";
  readonly ms: number;
}

/** What a stop by this hook wants, in order; `toServe`: clients may be connected. */
export const demandsOf = (hook: Hook, toServe: boolean): readonly Demand[] => [
  ...(toServe && hook.drain !== null
    ? [{ what: "drain", ms: hook.drain.delayMs + hook.drain.timeoutMs } as const]
    : []),
  ...(hook.quiesce === null ? [] : [{ what: "quiesce", ms: hook.quiesce.timeoutMs } as const]),
  { what: "signal", ms: hook.graceMs },
  ...hook.escalation.map(({ graceMs }) => ({ what: "signal", ms: graceMs }) as const),
  ...(hook.killAllowed ? [{ what: "kill", ms: killMs } as const] : []),
  ...(hook.export === null ? [] : [{ what: "export", ms: hook.export.timeoutMs } as const]),
];

const killMs = 5_000;

/** Kept back from every stop, so that its end can be proven and told: for the looks after the tree is gone, then for receipt and lease. */
export const reserveMs = (totalMs: number): { readonly verifyMs: number; readonly persistMs: number } => ({
  verifyMs: Math.min(2_000, totalMs / 5),
  persistMs: Math.min(2_500, totalMs / 5),
});

/**
 * How long the first of what is left to do may take: what it would like, or its share when there is not enough for all. An early
 * end leaves more to the later ones.
 */
export function shareOf(left: readonly Demand[], availableMs: number): number {
  const [first] = left;
  if (first === undefined) return 0;
  const wanted = left.reduce((sum, { ms }) => sum + ms, 0);
  const share = wanted <= availableMs ? first.ms : (first.ms * availableMs) / wanted;
  return Math.max(0, Math.min(share, availableMs));
}
