import { AppError } from "@baton/protocol";

/** Everything that only Baton's own key may write. */
export const controlPrefix = ".baton/";

/**
 * "." and ".." are refused because URLs resolve them: "x/../.baton/" would reach the control prefix.
 *
 * @throws AppError `invalid-request` for a prefix that is not made of whole path segments or is below ".baton/".
 */
export function assertPrefix(prefix: string): void {
  const segments = prefix.split("/").slice(0, -1);
  const valid =
    /^([A-Za-z0-9._-]+\/)+$/.test(prefix) &&
    !prefix.startsWith(controlPrefix) &&
    !segments.some((segment) => segment === "." || segment === "..");
  if (!valid)
    throw new AppError(
      "invalid-request",
      `cannot use the prefix "${prefix}": it must be made of names of letters, digits, ".", "_" or "-", each followed by "/", ` +
        `not of "." or ".." alone, and not be below "${controlPrefix}"`,
    );
}

/** Both prefixes end with "/", so one that starts with the other contains or equals it. */
export const overlaps = (a: string, b: string): boolean => a.startsWith(b) || b.startsWith(a);
