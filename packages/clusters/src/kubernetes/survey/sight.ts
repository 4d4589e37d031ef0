import { toAppError } from "@baton/protocol";

/** What was seen, or why nothing was. */
export type Sight<T> = { readonly value: T } | { readonly why: string };

export const sight = <T>(looking: Promise<T>): Promise<Sight<T>> =>
  looking.then(
    (value) => ({ value }),
    (error: unknown) => ({ why: toAppError(error).message }),
  );

export const whyOf = (seen: Sight<unknown>): readonly string[] => ("why" in seen ? [seen.why] : []);

export const valueOf = <T>(seen: Sight<T>): T | null => ("value" in seen ? seen.value : null);
