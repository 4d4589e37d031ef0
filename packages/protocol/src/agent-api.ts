import * as z from "zod/mini";
import { commandKeySchema, epochSchema, nameSchema, placementIdSchema, runSchema } from "./ids.ts";
import { hookSchema, readinessSchema, workloadSchema } from "./hook.ts";
import { publicKeySchema } from "./keys.ts";
import { secretReferenceSchema, storageLocationSchema } from "./manifest.ts";
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
 */
export const agentStateSchema = z.enum([
  "held",
  "starting",
  "running",
  "stopping",
  "verifying",
  "stopped",
  "refused",
  "crashed",
  "unknown",
]);
export type AgentState = z.infer<typeof agentStateSchema>;

export const agentStatusSchema = z.strictObject({
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
});
export type AgentStatus = z.infer<typeof agentStatusSchema>;

/** Moments of a start: epoch ms of the agent's wall clock; durations in ms, monotonic. */
export const startResultSchema = z.strictObject({
  run: runSchema,
  execAt: z.iso.datetime(),
  readyAt: z.iso.datetime(),
  /** From exec until the readiness path answered 2xx. */
  startMs: z.number(),
});
export type StartResult = z.infer<typeof startResultSchema>;

export const agentOperationSchema = z.discriminatedUnion("state", [
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
]);
export type AgentOperation = z.infer<typeof agentOperationSchema>;

/** What the agent sends to `confirm.url` after a stop: the signed receipt; its signature is the credential. Answer 2xx ends the retries. */
export const confirmationSchema = z.strictObject({
  receipt: z.string().check(z.minLength(1), z.maxLength(32_768)),
});

/** The agent's configuration file. Everything below `stateDirectory` outlives the agent. */
export const agentConfigSchema = z.strictObject({
  version: z.literal(1),
  placement: placementIdSchema,
  application: nameSchema,
  stateDirectory: z.string(),
  /** Port 0: any free one; the agent writes what it got to `<stateDirectory>/endpoint.json`. */
  listen: z.strictObject({ host: z.string(), port: z.int() }),
  /** The port the application is told to listen on (`PORT`). */
  applicationPort: z.int(),
  /** Verifies command tokens. */
  commandKey: publicKeySchema,
  confirm: z.strictObject({ url: z.url() }),
  storage: z.strictObject({
    ...storageLocationSchema.shape,
    /** Whom the lease must name as its owner. */
    owner: z.string().check(z.minLength(1)),
    /** A file of { accessKeyId, secretAccessKey } that may write to the control prefix. */
    control: secretReferenceSchema,
    /** Pause between two renewals. */
    renewMs: z.int().check(z.positive()),
  }),
  workload: workloadSchema,
  hook: hookSchema,
  readiness: readinessSchema,
});
export type AgentConfig = z.infer<typeof agentConfigSchema>;

/**
 * `<stateDirectory>/endpoint.json`, written atomically once the agent listens; the trusted path by which the orchestrator
 * learns the placement's public key and the agent's address.
 */
export const agentEndpointSchema = z.strictObject({
  placement: placementIdSchema,
  instance: z.string(),
  url: z.url(),
  publicKey: publicKeySchema,
  pid: z.int(),
  startTime: z.string(),
  bootId: z.string(),
});
export type AgentEndpoint = z.infer<typeof agentEndpointSchema>;

/** Environment variable that marks every process of a placement's runs; its value is `<placement>:<run cookie>`. */
export const cookieVariable = "BATON_COOKIE";
