import { Hono } from "hono";
import type { Context } from "hono";
import type { Config } from "./config.ts";
import type { Ledger } from "./ledger.ts";
import type { WriteBehind } from "./write-behind.ts";

type Deps = {
  readonly ledger: Ledger;
  readonly writeBehind: WriteBehind;
  readonly tryCanary: () => Promise<void>;
  readonly acknowledge: Config["acknowledge"];
  readonly isStopping: () => boolean;
  readonly startedAt: Date;
};

/** The ledger's HTTP routes. Unless told otherwise an entry is acknowledged before it is durable: it is in memory and in the buffer. */
export function createApp({
  ledger,
  writeBehind,
  tryCanary,
  acknowledge,
  isStopping,
  startedAt,
}: Deps): Hono {
  const app = new Hono();

  app.use(async (c, next) => {
    // A request that came after the stop began on a kept connection is refused, one from before it is answered.
    if (isStopping()) c.res = problem(c, 503, "cannot serve: the ledger is stopping");
    else await next();
    if (isStopping()) c.res.headers.set("connection", "close");
  });

  app.post("/entries", async (c) => {
    const body: unknown = await c.req.json().catch(() => null);
    if (!isNewEntry(body))
      return problem(c, 400, 'cannot add the entry: send {"id": string, "payload": string}');
    const { entry, added } = ledger.add(body.id, body.payload);
    if (added) writeBehind.push(entry);
    if (acknowledge === "durable") {
      // Also for an entry that is there already: the one who sent it before may have got no answer for want of the store.
      try {
        await writeBehind.flushAll();
      } catch {
        return problem(c, 503, "cannot add the entry yet: it is not in the bucket; send it again");
      }
    }
    return c.json({ id: entry.id, position: entry.position }, added ? 201 : 200);
  });

  app.get("/entries/:id", (c) => {
    const entry = ledger.get(c.req.param("id"));
    return entry === undefined ? problem(c, 404, "cannot find the entry: no such id") : c.json(entry);
  });

  app.get("/readyz", (c) => c.text("ready\n"));

  app.get("/stats", (c) =>
    c.json({
      entries: ledger.size(),
      unflushed: writeBehind.unflushed(),
      flushes: writeBehind.flushes(),
      startedAt: startedAt.toISOString(),
    }),
  );

  app.post("/canary", async (c) => {
    try {
      await tryCanary();
      return c.text("ok\n");
    } catch {
      return problem(
        c,
        503,
        "cannot write and read back a canary object: check the store and the credentials",
      );
    }
  });

  app.notFound((c) => problem(c, 404, "cannot find the route"));
  app.onError((_error, c) => problem(c, 500, "cannot answer: an unexpected fault in the ledger"));
  return app;
}

function isNewEntry(value: unknown): value is { readonly id: string; readonly payload: string } {
  if (typeof value !== "object" || value === null) return false;
  const { id, payload } = value as Record<string, unknown>;
  return typeof id === "string" && id !== "" && typeof payload === "string";
}

function problem(c: Context, status: 400 | 404 | 500 | 503, detail: string): Response {
  return c.body(JSON.stringify({ status, detail }), status, { "content-type": "application/problem+json" });
}
