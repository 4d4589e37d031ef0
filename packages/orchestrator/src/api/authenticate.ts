import { timingSafeEqual } from "node:crypto";
import { AppError } from "@baton/protocol";
import { digestOf, isToken } from "../records/token-digest.ts";
import { type Caller, type TokenRecords, bootstrapName } from "../records/token-records.ts";
import { inTime } from "./in-time.ts";

/** Says whose token an `Authorization` header has. @throws `unauthenticated`, in the same words whatever is wrong; `database-unavailable`. */
export type Authenticate = (authorization: string | undefined) => Promise<Caller>;

/** The generated admin token is known without the database; any other is asked for anew with every request, so that a revocation counts at once. */
export function createAuthenticator(adminToken: string, tokens: Pick<TokenRecords, "holder">): Authenticate {
  const expected = digestOf(adminToken);
  return async (authorization) => {
    const [, given] = /^Bearer (\S+)$/i.exec(authorization ?? "") ?? [];
    if (given !== undefined && timingSafeEqual(digestOf(given), expected))
      return { name: bootstrapName, role: "admin" };
    // What cannot be a token costs no query.
    const caller =
      given !== undefined && isToken(given) ? await inTime(tokens.holder(given), "check the token") : null;
    if (caller !== null) return caller;
    throw new AppError(
      "unauthenticated",
      "cannot accept the request: its token is missing, wrong, expired or revoked; send one as Authorization: Bearer",
    );
  };
}
