import { AppError } from "@baton/protocol";

/**
 * @param what whose address it is, in words. The address itself is never shown: it may hold a password
 * @throws AppError `invalid-request`
 */
export function readHttpUrl(text: string, what: string): URL {
  const url = URL.parse(text);
  if (url === null || !["http:", "https:"].includes(url.protocol))
    throw new AppError(
      "invalid-request",
      `cannot reach ${what}: its address must be an http:// or https:// URL`,
    );
  return url;
}
