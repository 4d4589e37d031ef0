import {
  AppError,
  type DecisionRequest,
  type Explanation,
  type Operation,
  type OperationRequest,
  type SignedReceipt,
  decisionRequestSchema,
  operationRequestSchema,
  parseAs,
  strictObject,
} from "@baton/protocol";
import { Hono } from "hono";
import * as v from "valibot";
import type { Caller } from "../records/token-records.ts";
import type { AppEnv } from "./guard.ts";
import { readBody } from "./read-body.ts";
import { streamOperation } from "./stream-operation.ts";

export interface OperationService {
  start(request: OperationRequest, caller: Caller): Promise<Operation>;
  find(id: string, wait: { readonly after: number; readonly waitMs: number }): Promise<Operation | null>;
  list(application: string | undefined): Promise<readonly Operation[]>;
  /** @throws `unknown-operation`, `past-pivot`, `not-halted` */
  decide(id: string, request: DecisionRequest, caller: Caller): Promise<Operation>;
  explain(id: string): Promise<Explanation>;
  /** Every receipt of the operation, oldest first. */
  receipts(id: string): Promise<readonly SignedReceipt[]>;
}

const maxWaitMs = 30_000;
const waitSchema = strictObject({
  waitMs: v.optional(v.pipe(v.string(), v.regex(/^\d{1,6}$/), v.transform(Number)), "0"),
  after: v.optional(v.pipe(v.string(), v.regex(/^\d{1,9}$/), v.transform(Number)), "0"),
});

export function routeOperations(operations: OperationService): Hono<AppEnv> {
  const app = new Hono<AppEnv>();
  app.post("/", async (context) => {
    const request = await readBody(context, operationRequestSchema, "the operation");
    const operation = await operations.start(request, context.get("caller"));
    return context.json(operation, 202, { location: `/v1/operations/${operation.id}` });
  });
  app.get("/", async (context) =>
    context.json({ items: await operations.list(context.req.query("application")) }),
  );
  app.get("/:id", async (context) => {
    const { waitMs, after } = parseAs(waitSchema, context.req.query(), "the query");
    const operation = await operations.find(context.req.param("id"), {
      after: waitMs === 0 ? -1 : after,
      waitMs: Math.min(waitMs, maxWaitMs),
    });
    if (operation === null)
      throw new AppError(
        "unknown-operation",
        `cannot show the operation: there is none of this id; see "baton operation list"`,
      );
    return context.json(operation);
  });
  app.get("/:id/events", (context) =>
    streamOperation(context, context.req.param("id"), (id, wait) => operations.find(id, wait)),
  );
  app.get("/:id/explanation", async (context) =>
    context.json(await operations.explain(context.req.param("id"))),
  );
  app.get("/:id/receipts", async (context) =>
    context.json({ items: await operations.receipts(context.req.param("id")) }),
  );
  app.post("/:id/decisions", async (context) => {
    const request = await readBody(context, decisionRequestSchema, "the decision");
    return context.json(
      await operations.decide(context.req.param("id"), request, context.get("caller")),
      202,
    );
  });
  return app;
}
