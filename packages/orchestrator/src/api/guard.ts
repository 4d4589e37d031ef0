import { AppError, type Role, accepts, isAtLeast, nameSchema, newNonce, toAppError } from "@baton/protocol";
import type { Context, MiddlewareHandler } from "hono";
import { METHOD_NAME_ALL } from "hono/router";
import { matchedRoutes } from "hono/route";
import type { Logger } from "pino";
import type { AuditRecords } from "../records/audit-records.ts";
import type { Caller } from "../records/token-records.ts";
import { neededRole } from "./access.ts";
import type { Authenticate } from "./authenticate.ts";
import { inTime } from "./in-time.ts";

/** What every request carries once it is let in. */
export interface AppEnv {
  readonly Variables: { requestId: string; caller: Caller };
}

export interface GuardDeps {
  readonly log: Logger;
  readonly authenticate: Authenticate;
  readonly audit: Pick<AuditRecords, "begin" | "end">;
}

/** Gives every request an id of ours, since the audit trail is kept by it, and tells it to whoever asked. */
export const identify: MiddlewareHandler<AppEnv> = async (context, next) => {
  context.set("requestId", newNonce());
  await next();
  context.res.headers.set("x-request-id", context.get("requestId"));
};

/**
 * Lets in who may ask for what is asked. Whatever changes something is on record before it is done, or it is not done; what came of it is added
 * afterwards. What nobody could be named for (no token, or a wrong one) is refused and not kept: anybody could fill the records with it.
 */
export function guard({ log, authenticate, audit }: GuardDeps): MiddlewareHandler<AppEnv> {
  return async (context, next) => {
    const route = matchedRoutes(context).find(({ method }) => method !== METHOD_NAME_ALL);
    const needed = route === undefined ? "viewer" : neededRole(route.method, route.path);
    if (needed === "anyone") return next();
    const caller = await authenticate(context.req.header("authorization"));
    context.set("caller", caller);
    const refusal = isAtLeast(caller.role, needed) ? undefined : forbidden(caller, needed);
    if (route === undefined || route.method === "GET") {
      if (refusal !== undefined) throw refusal;
      return next();
    }

    const request = context.get("requestId");
    const { name: who, role } = caller;
    const what = `${route.method} ${route.path}`;
    const subject = await subjectOf(context, route.path);
    await inTime(
      audit.begin({ request, who, role, what, subject }),
      "put the request on record, so nothing was done",
    );
    if (refusal === undefined) await next();
    const failure = refusal ?? context.error;
    const outcome = {
      status: refusal === undefined ? context.res.status : 403,
      code: failure === undefined ? null : toAppError(failure).code,
      made: refusal === undefined ? lastPartOf(context.res.headers.get("location")) : null,
    };
    // It is done by now: an answer that hides that would be worse than an entry without an outcome.
    await inTime(audit.end(request, outcome), "put the outcome on record").catch((error: unknown) =>
      log.error({ err: error, request, ...outcome }, "cannot put the outcome of a request on record"),
    );
    if (refusal !== undefined) throw refusal;
  };
}

const forbidden = ({ name, role }: Caller, needed: Role): AppError =>
  new AppError(
    "forbidden",
    `cannot accept the request: it needs the role ${needed}, and token "${name}" has the role ${role}; use another token`,
  );

const lastPartOf = (location: string | null): string | null => location?.split("/").at(-1) ?? null;

/** What the path names, or else the body. Only what can be a name: anything may have been pasted there. */
async function subjectOf({ req }: Context<AppEnv>, pattern: string): Promise<string | null> {
  const place = pattern.split("/").findIndex((part) => part.startsWith(":"));
  const subject: unknown =
    place === -1 ? nameIn(await req.json().catch(() => null)) : req.path.split("/")[place];
  return accepts(nameSchema, subject) ? subject : null;
}

function nameIn(body: unknown): unknown {
  if (typeof body !== "object" || body === null) return null;
  const { application, name } = body as Readonly<Record<string, unknown>>;
  return application ?? name;
}
