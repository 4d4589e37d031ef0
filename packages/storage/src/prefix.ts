import { parseAs, prefixSchema } from "@baton/protocol";

/** Everything that only Baton's own key may write. */
export const controlPrefix = ".baton/";

/** @throws AppError `invalid-request` for a prefix that no manifest could name either. */
export function assertPrefix(prefix: string): void {
  parseAs(prefixSchema, prefix, `the prefix "${prefix}"`);
}

/** Both prefixes end with "/", so one that starts with the other contains or equals it. */
export const overlaps = (a: string, b: string): boolean => a.startsWith(b) || b.startsWith(a);
