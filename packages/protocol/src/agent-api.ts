import * as z from "zod/mini";
import { deferred } from "./deferred.ts";
import { commandKeySchema, epochSchema, placementIdSchema, runSchema } from "./ids.ts";
import { publicKeySchema } from "./keys.ts";
import { problemSchema } from "./problem.ts";

/**
 * The agent's HTTP API, all JSON, errors as problem+json, commands as `Authorization: Bearer <command token>`:
 *
 *   POST /v1/stop | /v1/start | /v1/burn   202 AgentOperation (the same key again: the same operation, nothing done twice)
 *   POST /v1/withdraw                      200 AgentStatus: that stop key will never be executed (or already was: see `run`)
 *   POST /v1/open                          200 AgentStatus: `/readyz` answers 200 from now on while the run lives
 *   GET  /v1/operations/{key}?waitMs=      200 AgentOperation, at the latest after waitMs (0 … 30000)
 *   GET  /v1/receipts/{key}                200 { receipt }
 *   GET  /v1/status                        200 AgentStatus
 *   GET  /livez, /readyz                   200 or 503, no token
 *   GET  /metrics                          200 Prometheus text, no token
 */
export const agentStateSchema = deferred(() =>
  z.enum([
    "held",
    "starting",
    "running",
    "draining",
    "quiescing",
    "stopping",
    "verifying",
    "stopped",
    "refused",
    "crashed",
    "unknown",
  ]),
);
export type AgentState = z.infer<typeof agentStateSchema>;

/** `for`: the phase in words; `until`: when the wait ends at the latest, null for never; `next`: what happens then. */
const waitingSchema = deferred(() =>
  z.strictObject({
    for: z.string(),
    since: z.iso.datetime(),
    until: z.nullable(z.iso.datetime()),
    next: z.string(),
  }),
);
export type Waiting = z.infer<typeof waitingSchema>;

export const agentStatusSchema = deferred(() =>
  z.strictObject({
    placement: placementIdSchema,
    /** Names this life of the agent process. */
    instance: z.string(),
    agentVersion: z.string(),
    state: agentStateSchema,
    /** The highest epoch the agent has accepted a command of. */
    epoch: epochSchema,
    /** The run that lives, or the last one; null when nothing was ever started. */
    run: z.nullable(runSchema),
    /** Whether the application answered its readiness path. */
    ready: z.boolean(),
    /** Whether clients are let in (`/readyz`). */
    open: z.boolean(),
    /** Whether the agent could read its lease from here, and what it saw last. `lost`: the lease names somebody else. */
    lease: z.strictObject({
      reachable: z.boolean(),
      lost: z.boolean(),
      detail: z.nullable(z.string()),
    }),
    /** What the agent waits for just now; null when for nothing but commands. */
    waiting: z._default(z.nullable(waitingSchema), null),
  }),
);
export type AgentStatus = z.infer<typeof agentStatusSchema>;

/** Moments of a start: epoch ms of the agent's wall clock; durations in ms, monotonic. */
export const startResultSchema = deferred(() =>
  z.strictObject({
    run: runSchema,
    execAt: z.iso.datetime(),
    readyAt: z.iso.datetime(),
    /** From exec until the readiness path answered 2xx. */
    startMs: z.number(),
  }),
);
export type StartResult = z.infer<typeof startResultSchema>;

export const agentOperationSchema = deferred(() =>
  z.discriminatedUnion("state", [
    z.strictObject({
      key: commandKeySchema,
      kind: z.enum(["stop", "start", "burn"]),
      state: z.literal("open"),
    }),
    z.strictObject({
      key: commandKeySchema,
      kind: z.enum(["stop", "burn"]),
      state: z.literal("receipt"),
      receipt: z.string(),
      /** Where else it lies: `bucket`, beside the lease; `local only` when that was not possible (yet) or no storage is configured. */
      copy: z._default(z.enum(["bucket", "local only"]), "local only"),
    }),
    z.strictObject({
      key: commandKeySchema,
      kind: z.literal("start"),
      state: z.literal("started"),
      result: startResultSchema,
    }),
    z.strictObject({
      key: commandKeySchema,
      kind: z.enum(["stop", "start", "burn"]),
      state: z.literal("failed"),
      problem: problemSchema,
    }),
  ]),
);
export type AgentOperation = z.infer<typeof agentOperationSchema>;

/** What the agent sends to `confirm.url` after a stop: the signed receipt; its signature is the credential. Answer 2xx ends the retries. */
export const confirmationSchema = deferred(() =>
  z.strictObject({
    receipt: z.string().check(z.minLength(1), z.maxLength(32_768)),
  }),
);

/**
 * `<stateDirectory>/endpoint.json`, written atomically once the agent listens; the trusted path by which the orchestrator
 * learns the placement's public key and the agent's address.
 */
export const agentEndpointSchema = deferred(() =>
  z.strictObject({
    placement: placementIdSchema,
    instance: z.string(),
    url: z.url(),
    publicKey: publicKeySchema,
    pid: z.int(),
    startTime: z.string(),
    bootId: z.string(),
  }),
);
export type AgentEndpoint = z.infer<typeof agentEndpointSchema>;

/** Environment variable that marks every process of a placement's runs; its value is `<placement>:<run cookie>`. */
export const cookieVariable = "BATON_COOKIE";
