import { createHash, timingSafeEqual } from "node:crypto";
import { AppError } from "@baton/protocol";
import type { MiddlewareHandler } from "hono";

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();

/** Lets only requests through that carry the admin token; compared as digests, in constant time. */
export function requireAdminToken(token: string): MiddlewareHandler {
  const expected = digest(token);
  return async (context, next) => {
    const [, given] = /^Bearer (\S+)$/i.exec(context.req.header("authorization") ?? "") ?? [];
    if (given === undefined || !timingSafeEqual(digest(given), expected))
      throw new AppError(
        "unauthenticated",
        "cannot accept the request: the admin token is missing or wrong; send it as Authorization: Bearer",
      );
    await next();
  };
}
