import * as z from "zod/mini";

const httpPath = z.string().check(z.regex(/^\/\S*$/, "must be an absolute path without spaces"));
const variableName = z
  .string()
  .check(z.regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'must be letters, digits and "_", no digit first'));
const milliseconds = (max: number) => z.int().check(z.positive(), z.maximum(max));

/** How to stop this application. Times in ms. */
export const hookSchema = z.strictObject({
  /** First signal, sent to the whole process tree. */
  signal: z._default(z.enum(["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2"]), "SIGTERM"),
  /** From the signal until the tree must be gone. */
  graceMs: z._default(milliseconds(3_600_000), 10_000),
  /** Whether SIGKILL may follow when the grace is over. Off by default: a server may refuse because a save failed. */
  killAllowed: z._default(z.boolean(), false),
  /** Exit statuses that count as graceful; death by a signal never does. */
  gracefulExitCodes: z._default(
    z.array(z.int().check(z.minimum(0), z.maximum(255))).check(z.minLength(1)),
    [0],
  ),
});
export type Hook = z.infer<typeof hookSchema>;

/** An HTTP path of the application on its own port that answers 2xx once it can serve. */
export const readinessSchema = z.strictObject({
  path: httpPath,
  /** From exec until the first 2xx. */
  timeoutMs: z._default(milliseconds(3_600_000), 30_000),
});

/** A check of the started target before commit: a request that must answer 2xx (a write canary, for one). */
export const verifySchema = z.strictObject({
  method: z._default(z.enum(["GET", "POST"]), "POST"),
  path: httpPath,
  timeoutMs: z._default(milliseconds(600_000), 10_000),
});
export type Verify = z.infer<typeof verifySchema>;

/** What the agent executes. The application listens on 127.0.0.1:$PORT. */
export const workloadSchema = z.strictObject({
  command: z.array(z.string().check(z.minLength(1))).check(z.minLength(1)),
  workingDirectory: z.optional(z.string().check(z.minLength(1))),
  environment: z._default(z.record(variableName, z.string()), {}),
});
