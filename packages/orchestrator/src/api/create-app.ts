import {
  type Adoption,
  type AdoptionRequest,
  AppError,
  type Route,
  type TrafficView,
  adoptionRequestSchema,
  confirmationSchema,
  manifestSchemas,
  toAppError,
} from "@baton/protocol";
import type { ApplicationManifest, ClusterManifest, DatabaseManifest, Manifest } from "@baton/protocol";
import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import type { StorageService } from "../storages/storage-service.ts";
import type { AuditRecords } from "../records/audit-records.ts";
import { routeAudit } from "./audit.ts";
import { type AppEnv, type GuardDeps, guard, identify } from "./guard.ts";
import { metricsContentType } from "./metrics.ts";
import type { PlanService } from "../plan-service.ts";
import { type OperationService, routeOperations } from "./operations.ts";
import { routePlans } from "./plans.ts";
import { problemResponse } from "./problems.ts";
import { readBody } from "./read-body.ts";
import { routeStorages } from "./storages.ts";
import { type Tokens, routeTokens } from "./tokens.ts";

export interface AppDeps extends GuardDeps {
  readonly audit: Pick<AuditRecords, "begin" | "end" | "list">;
  readonly tokens: Tokens;
  apply(manifest: Manifest): Promise<Manifest>;
  clusters(): Promise<readonly ClusterManifest[]>;
  databases(): Promise<readonly DatabaseManifest[]>;
  applications(): Promise<readonly ApplicationManifest[]>;
  readonly storages: StorageService;
  /** Takes on another owner's lease, as `adoptLease` does. @param by the token's name. */
  adopt(storage: string, request: AdoptionRequest, by: string): Promise<Adoption>;
  route(application: string): Promise<Route>;
  traffic(application: string): Promise<readonly TrafficView[]>;
  readonly plans: Pick<PlanService, "plan">;
  readonly operations: OperationService;
  /** Whether requests may be sent here; never throws. */
  ready(): Promise<boolean>;
  /** In Prometheus' text format. */
  metrics(): Promise<string>;
  /** Takes an agent's confirmation; its signature is the credential. */
  confirm(receipt: string): Promise<void>;
}

const maxBodyBytes = 1_048_576;

/** The HTTP API under `/v1`; pure wiring. */
export function createApp(deps: AppDeps): Hono<AppEnv> {
  const app = new Hono<AppEnv>();
  app.onError((error, context) => {
    const failure = toAppError(error);
    if (failure.code === "internal")
      deps.log.error({ err: error, request: context.get("requestId") }, failure.message);
    return problemResponse(failure, context.req.raw);
  });
  app.notFound((context) =>
    problemResponse(
      new AppError("not-found", "cannot answer: there is nothing at this path"),
      context.req.raw,
    ),
  );
  const tooLarge = (context: Context) =>
    problemResponse(
      new AppError("request-too-large", `cannot read the request: its body is over ${maxBodyBytes} bytes`),
      context.req.raw,
    );
  app.use(identify, bodyLimit({ maxSize: maxBodyBytes, onError: tooLarge }), guard(deps));

  app.get("/livez", (context) => context.json({ live: true }));
  app.get("/readyz", async (context) => {
    const ready = await deps.ready();
    return context.json({ ready }, ready ? 200 : 503);
  });
  app.get("/metrics", async (context) =>
    context.body(await deps.metrics(), 200, { "content-type": metricsContentType }),
  );
  app.post("/v1/confirmations", async (context) => {
    const { receipt } = await readBody(context, confirmationSchema, "the confirmation");
    await deps.confirm(receipt);
    return context.body(null, 204);
  });

  for (const [path, kind] of [
    ["clusters", "cluster"],
    ["storages", "storage"],
    ["databases", "database"],
    ["applications", "application"],
  ] as const)
    app.put(`/v1/${path}/:name`, async (context) => {
      const manifest = await readBody(
        context,
        manifestSchemas[kind],
        `the ${kind} manifest`,
        "invalid-manifest",
      );
      if (manifest.name !== context.req.param("name"))
        throw new AppError(
          "invalid-manifest",
          `cannot apply ${kind} "${manifest.name}": the path names another one`,
        );
      return context.json(await deps.apply(manifest));
    });
  app.get("/v1/clusters", async (context) => context.json({ items: await deps.clusters() }));
  app.post("/v1/storages/:name/adopt", async (context) => {
    const request = await readBody(context, adoptionRequestSchema, "the adoption");
    return context.json(await deps.adopt(context.req.param("name"), request, context.get("caller").name));
  });
  app.route("/v1/storages", routeStorages(deps.storages));
  app.route("/v1/tokens", routeTokens(deps.tokens));
  app.route("/v1/audit", routeAudit(deps.audit));
  app.get("/v1/databases", async (context) => context.json({ items: await deps.databases() }));
  app.get("/v1/applications", async (context) => context.json({ items: await deps.applications() }));
  app.get("/v1/applications/:name/route", async (context) =>
    context.json(await deps.route(context.req.param("name"))),
  );
  app.get("/v1/applications/:name/traffic", async (context) =>
    context.json({ items: await deps.traffic(context.req.param("name")) }),
  );

  app.route("/v1/plans", routePlans(deps.plans));
  app.route("/v1/operations", routeOperations(deps.operations));
  return app;
}
