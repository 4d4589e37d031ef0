import { inventoryRequestSchema, probeRequestSchema, rotationRequestSchema } from "@baton/protocol";
import { Hono } from "hono";
import type { StorageService } from "../storages/storage-service.ts";
import { readBody } from "./read-body.ts";

/** What is asked of storages that are declared; declaring one is a PUT like that of every manifest. */
export function routeStorages(storages: StorageService): Hono {
  const app = new Hono();
  app.get("/", async (context) => context.json({ items: await storages.list() }));
  app.get("/:name", async (context) => context.json(await storages.show(context.req.param("name"))));
  app.post("/:name/probe", async (context) => {
    const request = await readBody(context, probeRequestSchema, "the probe request");
    return context.json(await storages.probe(context.req.param("name"), request));
  });
  app.post("/:name/rotate", async (context) => {
    const request = await readBody(context, rotationRequestSchema, "the rotation request");
    return context.json(await storages.rotate(context.req.param("name"), request));
  });
  app.post("/:name/inventory", async (context) => {
    const request = await readBody(context, inventoryRequestSchema, "the inventory request");
    return context.json(await storages.inventory(context.req.param("name"), request));
  });
  app.delete("/:name", async (context) => {
    await storages.remove(context.req.param("name"));
    return context.body(null, 204);
  });
  return app;
}
