import * as z from "zod/mini";
import { deferred } from "./deferred.ts";
import { hookSchema, readinessSchema, workloadSchema } from "./hook.ts";
import { nameSchema, placementIdSchema } from "./ids.ts";
import { publicKeySchema } from "./keys.ts";
import { secretReferenceSchema, storageLocationSchema } from "./manifest.ts";

const absolutePath = z.string().check(z.regex(/^\/[^\0\r\n]*$/, "must be an absolute path"));
const port = z.int().check(z.minimum(0), z.maximum(65_535));
const address = z.strictObject({ host: z.string().check(z.minLength(1)), port });
const milliseconds = z.int().check(z.positive(), z.maximum(3_600_000));
const exitCode = z.int().check(z.minimum(0), z.maximum(255));

/** Which processes are the application, when somebody else executes it. */
const attachTargetSchema = deferred(() =>
  z.discriminatedUnion("by", [
    /** Its command waits behind `baton-agent gate`, in a directory that both containers share: the only way to more than a claim. */
    z.strictObject({ by: z.literal("gate"), directory: absolutePath }),
    /** Part of its container's cgroup path: an id or a name. */
    z.strictObject({ by: z.literal("container"), container: z.string().check(z.minLength(4)) }),
    z.strictObject({ by: z.literal("pidfile"), file: absolutePath }),
    /** A regular expression on the command line, its words joined by blanks. Must match one tree only. */
    z.strictObject({
      by: z.literal("match"),
      pattern: z.string().check(
        z.minLength(1),
        z.refine((pattern) => {
          try {
            return Boolean(new RegExp(pattern));
          } catch {
            return false;
          }
        }, "must be a regular expression"),
      ),
    }),
  ]),
);
export type AttachTarget = z.infer<typeof attachTargetSchema>;

/** How an unmodified Krake reaches this agent and is answered; see the names of `KRAKE_…` variables in its documentation. */
const krakeSchema = deferred(() =>
  z.strictObject({
    listen: address,
    /** From `PUT /shutdown` on; a confirmation is sent after it all the same. */
    deadlineMs: z._default(milliseconds, 30_000),
    urlVariable: z._default(z.string(), "KRAKE_SHUTDOWN_URL"),
    tokenVariables: z._default(z.array(z.string()), ["KRAKE_SHUTDOWN_TOKEN", "KRAKE_TOKEN"]),
    /** The first one that is there is used: ca-bundle.pem, cert.pem, key.pem. */
    certificateDirectories: z._default(z.array(absolutePath), [
      "/etc/krake_shutdown_cert",
      "/etc/krake_shutdown_certs",
      "/etc/krake_cert",
      "/etc/krake_certs",
    ]),
  }),
);

/** The agent's configuration, complete. Everything below `stateDirectory` outlives the agent. Times in ms. */
export const agentConfigSchema = z.strictObject({
  version: z.literal(1),
  placement: placementIdSchema,
  application: nameSchema,
  stateDirectory: z.string().check(z.minLength(1)),
  /** Port 0: any free one; the agent writes what it got to `<stateDirectory>/endpoint.json`. Null: no API but the local socket. */
  listen: z.nullable(address),
  /** For `listen`; with `clientCa` only clients with a certificate of it are served. Paths of PEM files. */
  tls: z._default(
    z.nullable(
      deferred(() =>
        z.strictObject({
          certificate: absolutePath,
          key: absolutePath,
          clientCa: z._default(z.nullable(absolutePath), null),
        }),
      ),
    ),
    null,
  ),
  /** The port the application is told to listen on (`PORT`), and is asked for its readiness on. */
  applicationPort: z._default(z.nullable(port), null),
  /** Verifies command tokens. Null: no command is taken over the network. */
  commandKey: z._default(z.nullable(publicKeySchema), null),
  /** Who is told of receipts. */
  confirm: z._default(z.nullable(deferred(() => z.strictObject({ url: z.url() }))), null),
  /** Null: no lease, so nothing keeps a second placement from writing but whoever runs it. */
  storage: z._default(
    z.nullable(
      deferred(() =>
        z.strictObject({
          ...storageLocationSchema.shape,
          /** Whom the lease must name as its owner. */
          owner: z.string().check(z.minLength(1)),
          /** A file of { accessKeyId, secretAccessKey } that may write to the control prefix. */
          control: secretReferenceSchema,
          /** Pause between two renewals. */
          renewMs: z.int().check(z.positive()),
        }),
      ),
    ),
    null,
  ),
  workload: z.nullable(workloadSchema),
  /** Instead of `workload`: somebody else executes the application. */
  attach: z._default(z.nullable(attachTargetSchema), null),
  /** Which of the agent's own variables the application gets: `clean` is PATH, HOME, LANG, TMPDIR; `inherit` all but the agent's. */
  environment: z._default(z.enum(["clean", "inherit"]), "clean"),
  /** `file`: `<stateDirectory>/application.log`; `inherit`: the agent's own stdin, stdout and stderr, untouched. */
  output: z._default(z.enum(["file", "inherit"]), "file"),
  /** Whether a setuid program of the application may change its user; then what such a process does may be invisible. */
  newPrivileges: z._default(z.boolean(), false),
  hook: hookSchema,
  /** Null: ready once executed. */
  readiness: z.nullable(readinessSchema),
  /** `held`: until a start command with a grant; `immediately`: at once, and again in the same slot. */
  start: z._default(z.enum(["held", "immediately"]), "held"),
  /** When the application ended by itself. A stop that was asked for never ends the agent, or the platform would start it again. */
  afterExit: z._default(z.enum(["stay", "exit"]), "stay"),
  /** The agent's exit status for one of the application's: { "143": 0 }. */
  exitCodes: z._default(
    z.record(z.string().check(z.regex(/^(\d|[1-9]\d|1\d\d|2[0-4]\d|25[0-5])$/)), exitCode),
    {},
  ),
  /** Names the place that the platform starts again with all its processes gone: pod UID and container, for one. */
  slot: z._default(z.nullable(z.string().check(z.minLength(1))), null),
  /** From SIGTERM until the platform kills: a stop that is under way is shortened to it. */
  platformGraceMs: z._default(milliseconds, 10_000),
  /** Where the platform looks for a last word, at most 4096 bytes. */
  terminationLog: z._default(z.nullable(absolutePath), null),
  krake: z._default(z.nullable(krakeSchema), null),
});
export type AgentConfig = z.output<typeof agentConfigSchema>;
export type AgentConfigInput = z.input<typeof agentConfigSchema>;
