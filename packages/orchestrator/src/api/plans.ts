import { operationRequestSchema } from "@baton/protocol";
import { Hono } from "hono";
import type { PlanService } from "../plan-service.ts";
import type { AppEnv } from "./guard.ts";
import { readBody } from "./read-body.ts";

/** Below `/v1/plans`: the same body as for an operation, and nothing is begun. */
export const routePlans = (plans: Pick<PlanService, "plan">): Hono<AppEnv> =>
  new Hono<AppEnv>().post("/", async (context) => {
    const request = await readBody(context, operationRequestSchema, "the operation to plan");
    return context.json(await plans.plan(request));
  });
