import { tokenRequestSchema } from "@baton/protocol";
import { Hono } from "hono";
import type { TokenRecords } from "../records/token-records.ts";
import type { AppEnv } from "./guard.ts";
import { readBody } from "./read-body.ts";

export type Tokens = Pick<TokenRecords, "create" | "list" | "revoke">;

export function routeTokens(tokens: Tokens): Hono<AppEnv> {
  const app = new Hono<AppEnv>();
  app.get("/", async (context) => context.json({ items: await tokens.list() }));
  app.post("/", async (context) => {
    const request = await readBody(context, tokenRequestSchema, "the token request");
    const created = await tokens.create(request, context.get("caller").name);
    // The one answer with a secret of ours in it.
    return context.json(created, 201, {
      location: `/v1/tokens/${created.name}`,
      "cache-control": "no-store",
    });
  });
  app.delete("/:name", async (context) => {
    await tokens.revoke(context.req.param("name"));
    return context.body(null, 204);
  });
  return app;
}
