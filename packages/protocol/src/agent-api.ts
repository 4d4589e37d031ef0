import * as v from "valibot";
import { commandKeySchema, epochSchema, placementIdSchema, runSchema } from "./ids.ts";
import { publicKeySchema } from "./keys.ts";
import { problemSchema } from "./problem.ts";
import { integer, moment, number, strictObject, url, variant } from "./schema.ts";

/**
 * The agent's HTTP API, all JSON, errors as problem+json, commands as `Authorization: Bearer <command token>`:
 *
 *   POST /v1/stop | /v1/start | /v1/burn   202 AgentOperation (the same key again: the same operation, nothing done twice)
 *   POST /v1/withdraw                      200 AgentStatus: that stop key will never be executed (or already was: see `run`)
 *   POST /v1/open                          200 AgentStatus: `/readyz` answers 200 from now on while the run lives
 *   POST /v1/check                         200 CheckResult, once the command has ended
 *   POST /v1/keys                          200 ServedKey: the run is served this data key from now on
 *   GET  /v1/operations/{key}?waitMs=      200 AgentOperation, at the latest after waitMs (0 … 30000)
 *   GET  /v1/receipts/{key}                200 { receipt }
 *   GET  /v1/status                        200 AgentStatus
 *   GET  /livez, /readyz                   200 or 503, no token
 *   GET  /metrics                          200 Prometheus text, no token
 */
export const agentStateSchema = v.picklist([
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
]);
export type AgentState = v.InferOutput<typeof agentStateSchema>;

/** `for`: the phase in words; `until`: when the wait ends at the latest, null for never; `next`: what happens then. */
const waitingSchema = strictObject({
  for: v.string(),
  since: moment,
  until: v.nullable(moment),
  next: v.string(),
});
export type Waiting = v.InferOutput<typeof waitingSchema>;

export const agentStatusSchema = strictObject({
  placement: placementIdSchema,
  /** Names this life of the agent process. */
  instance: v.string(),
  agentVersion: v.string(),
  state: agentStateSchema,
  /** The highest epoch the agent has accepted a command of. */
  epoch: epochSchema,
  /** The run that lives, or the last one; null when nothing was ever started. */
  run: v.nullable(runSchema),
  /** Whether the application answered its readiness path. */
  ready: v.boolean(),
  /** Whether clients are let in (`/readyz`). */
  open: v.boolean(),
  /** Whether the agent could read its lease from here, and what it saw last. `lost`: the lease names somebody else. */
  lease: strictObject({
    reachable: v.boolean(),
    lost: v.boolean(),
    detail: v.nullable(v.string()),
  }),
  /** What the agent waits for just now; null when for nothing but commands. */
  waiting: v.optional(v.nullable(waitingSchema), null),
});
export type AgentStatus = v.InferOutput<typeof agentStatusSchema>;

/** How a check's command ended: `done` is status 0. */
export const checkResultSchema = strictObject({
  result: v.picklist(["done", "late", "failed"]),
  ms: number,
  /** The tail of its output, where it was not well. */
  detail: v.nullable(v.string()),
});
export type CheckResult = v.InferOutput<typeof checkResultSchema>;

/** How far a data key has come that an agent serves. */
export const servedKeySchema = strictObject({
  /** When the application asked for it first; null: not yet. */
  fetchedAt: v.nullable(moment),
  /** When the last answer with another key runs out, from which on nobody who keeps to it uses an old one; null: there was none. */
  oldUntil: v.nullable(moment),
});
export type ServedKey = v.InferOutput<typeof servedKeySchema>;

/** Moments of a start: epoch ms of the agent's wall clock; durations in ms, monotonic. */
export const startResultSchema = strictObject({
  run: runSchema,
  execAt: moment,
  readyAt: moment,
  /** From exec until the readiness path answered 2xx. */
  startMs: number,
});
export type StartResult = v.InferOutput<typeof startResultSchema>;

export const agentOperationSchema = variant("state", [
  strictObject({
    key: commandKeySchema,
    kind: v.picklist(["stop", "start", "burn"]),
    state: v.literal("open"),
  }),
  strictObject({
    key: commandKeySchema,
    kind: v.picklist(["stop", "burn"]),
    state: v.literal("receipt"),
    receipt: v.string(),
    /** Where else it lies: `bucket`, beside the lease; `local only` when that was not possible (yet) or no storage is configured. */
    copy: v.optional(v.picklist(["bucket", "local only"]), "local only"),
  }),
  strictObject({
    key: commandKeySchema,
    kind: v.literal("start"),
    state: v.literal("started"),
    result: startResultSchema,
  }),
  strictObject({
    key: commandKeySchema,
    kind: v.picklist(["stop", "start", "burn"]),
    state: v.literal("failed"),
    problem: problemSchema,
  }),
]);
export type AgentOperation = v.InferOutput<typeof agentOperationSchema>;

/** What the agent sends to `confirm.url` after a stop: the signed receipt; its signature is the credential. Answer 2xx ends the retries. */
export const confirmationSchema = strictObject({
  receipt: v.pipe(v.string(), v.minLength(1), v.maxCodePoints(32_768)),
});

/**
 * `<stateDirectory>/endpoint.json`, written atomically once the agent listens; the trusted path by which the orchestrator
 * learns the placement's public key and the agent's address.
 */
export const agentEndpointSchema = strictObject({
  placement: placementIdSchema,
  instance: v.string(),
  url,
  publicKey: publicKeySchema,
  pid: integer,
  startTime: v.string(),
  bootId: v.string(),
});
export type AgentEndpoint = v.InferOutput<typeof agentEndpointSchema>;

/** Environment variable that marks every process of a placement's runs; its value is `<placement>:<run cookie>`. */
export const cookieVariable = "BATON_COOKIE";

/** Carries the command token where a proxy on the way keeps `authorization` for itself; it wins over that one. */
export const forwardedTokenHeader = "baton-authorization";
