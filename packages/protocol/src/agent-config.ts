import * as v from "valibot";
import { commandCheckSchema, hookSchema, readinessSchema, workloadSchema } from "./hook.ts";
import { nameSchema, placementIdSchema } from "./ids.ts";
import { publicKeySchema } from "./keys.ts";
import { secretReferenceSchema, storageLocationSchema } from "./manifest.ts";
import { integer, record, strictObject, url, variant } from "./schema.ts";

const absolutePath = v.pipe(v.string(), v.regex(/^\/[^\0\r\n]*$/, "must be an absolute path"));
const port = v.pipe(integer, v.minValue(0), v.maxValue(65_535));
const address = strictObject({ host: v.pipe(v.string(), v.minLength(1)), port });
const milliseconds = v.pipe(integer, v.gtValue(0), v.maxValue(3_600_000));
const exitCode = v.pipe(integer, v.minValue(0), v.maxValue(255));

/** Which processes are the application, when somebody else executes it. */
const attachTargetSchema = variant("by", [
  /** Its command waits behind `baton-agent gate`, in a directory that both containers share: the only way to more than a claim. */
  strictObject({ by: v.literal("gate"), directory: absolutePath }),
  /** Part of its container's cgroup path: an id or a name. */
  strictObject({ by: v.literal("container"), container: v.pipe(v.string(), v.minCodePoints(4)) }),
  strictObject({ by: v.literal("pidfile"), file: absolutePath }),
  /** A regular expression on the command line, its words joined by blanks. Must match one tree only. */
  strictObject({
    by: v.literal("match"),
    pattern: v.pipe(
      v.string(),
      v.minLength(1),
      v.check((pattern) => {
        try {
          return Boolean(new RegExp(pattern));
        } catch {
          return false;
        }
      }, "must be a regular expression"),
    ),
  }),
]);
export type AttachTarget = v.InferOutput<typeof attachTargetSchema>;

/** How an unmodified Krake reaches this agent and is answered; see the names of `KRAKE_…` variables in its documentation. */
const krakeSchema = strictObject({
  listen: address,
  /** From `PUT /shutdown` on; a confirmation is sent after it all the same. */
  deadlineMs: v.optional(milliseconds, 30_000),
  urlVariable: v.optional(v.string(), "KRAKE_SHUTDOWN_URL"),
  tokenVariables: v.optional(v.array(v.string()), ["KRAKE_SHUTDOWN_TOKEN", "KRAKE_TOKEN"]),
  /** The first one that is there is used: ca-bundle.pem, cert.pem, key.pem. */
  certificateDirectories: v.optional(v.array(absolutePath), [
    "/etc/krake_shutdown_cert",
    "/etc/krake_shutdown_certs",
    "/etc/krake_cert",
    "/etc/krake_certs",
  ]),
});

/** The agent's configuration, complete. Everything below `stateDirectory` outlives the agent. Times in ms. */
export const agentConfigSchema = strictObject({
  version: v.literal(1),
  placement: placementIdSchema,
  application: nameSchema,
  stateDirectory: v.pipe(v.string(), v.minLength(1)),
  /** Port 0: any free one; the agent writes what it got to `<stateDirectory>/endpoint.json`. Null: no API but the local socket. */
  listen: v.nullable(address),
  /** For `listen`; with `clientCa` only clients with a certificate of it are served. Paths of PEM files. */
  tls: v.optional(
    v.nullable(
      strictObject({
        certificate: absolutePath,
        key: absolutePath,
        clientCa: v.optional(v.nullable(absolutePath), null),
      }),
    ),
    null,
  ),
  /** The port the application is told to listen on (`PORT`), and is asked for its readiness on. */
  applicationPort: v.optional(v.nullable(port), null),
  /** Verifies command tokens. Null: no command is taken over the network. */
  commandKey: v.optional(v.nullable(publicKeySchema), null),
  /** Who is told of receipts. */
  confirm: v.optional(v.nullable(strictObject({ url })), null),
  /** Null: no lease, so nothing keeps a second placement from writing but whoever runs it. */
  storage: v.optional(
    v.nullable(
      strictObject({
        ...storageLocationSchema.entries,
        /** Where the application finds the bucket, when that is not where the lease is: a replica of it. */
        application: v.optional(strictObject({ endpoint: v.string(), region: v.string() })),
        /** Whom the lease must name as its owner. */
        owner: v.pipe(v.string(), v.minLength(1)),
        /** A file of { accessKeyId, secretAccessKey } that may write to the control prefix. */
        control: secretReferenceSchema,
        /** Pause between two renewals. */
        renewMs: v.pipe(integer, v.gtValue(0)),
        /** So long without a renewal that was taken counts as a lost lease, for hooks that say `onLeaseLost: stop`. */
        lostAfterMs: v.optional(milliseconds, 60_000),
      }),
    ),
    null,
  ),
  workload: v.nullable(workloadSchema),
  /** Instead of `workload`: somebody else executes the application. */
  attach: v.optional(v.nullable(attachTargetSchema), null),
  /** Which of the agent's own variables the application gets: `clean` is PATH, HOME, LANG, TMPDIR; `inherit` all but the agent's. */
  environment: v.optional(v.picklist(["clean", "inherit"]), "clean"),
  /** `file`: `<stateDirectory>/application.log`; `inherit`: the agent's own stdin, stdout and stderr, untouched. */
  output: v.optional(v.picklist(["file", "inherit"]), "file"),
  /** Whether a setuid program of the application may change its user; then what such a process does may be invisible. */
  newPrivileges: v.optional(v.boolean(), false),
  hook: hookSchema,
  /** Null: ready once executed. */
  readiness: v.nullable(readinessSchema),
  /** What `check` commands run, by their place here. */
  checks: v.optional(v.array(commandCheckSchema), []),
  /** `held`: until a start command with a grant; `immediately`: at once, and again in the same slot. */
  start: v.optional(v.picklist(["held", "immediately"]), "held"),
  /** When the application ended by itself. A stop that was asked for never ends the agent, or the platform would start it again. */
  afterExit: v.optional(v.picklist(["stay", "exit"]), "stay"),
  /** The agent's exit status for one of the application's: { "143": 0 }. */
  exitCodes: v.optional(
    record(v.pipe(v.string(), v.regex(/^(\d|[1-9]\d|1\d\d|2[0-4]\d|25[0-5])$/)), exitCode),
    {},
  ),
  /** Names the place that the platform starts again with all its processes gone: pod UID and container, for one. */
  slot: v.optional(v.nullable(v.pipe(v.string(), v.minLength(1))), null),
  /** From SIGTERM until the platform kills: a stop that is under way is shortened to it. */
  platformGraceMs: v.optional(milliseconds, 10_000),
  /** Where the platform looks for a last word, at most 4096 bytes. */
  terminationLog: v.optional(v.nullable(absolutePath), null),
  krake: v.optional(v.nullable(krakeSchema), null),
});
export type AgentConfig = v.InferOutput<typeof agentConfigSchema>;
export type AgentConfigInput = v.InferInput<typeof agentConfigSchema>;
