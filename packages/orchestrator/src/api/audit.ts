import { parseAs, strictObject } from "@baton/protocol";
import { Hono } from "hono";
import * as v from "valibot";
import type { AuditRecords } from "../records/audit-records.ts";

const pageSchema = strictObject({
  limit: v.optional(v.pipe(v.string(), v.regex(/^(?:[1-9]\d{0,2}|1000)$/), v.transform(Number)), "100"),
  before: v.optional(v.pipe(v.string(), v.regex(/^\d{1,15}$/), v.transform(Number))),
});

/** The audit trail, page by page from the newest on. */
export function routeAudit(audit: Pick<AuditRecords, "list">): Hono {
  const app = new Hono();
  app.get("/", async (context) =>
    context.json({ items: await audit.list(parseAs(pageSchema, context.req.query(), "the query")) }),
  );
  return app;
}
