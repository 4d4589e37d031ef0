import * as z from "zod/mini";
import { deferred } from "./deferred.ts";
import { type PresetName, presetNames, presets } from "./presets.ts";
import { parseSignal } from "./signals.ts";

const httpPath = z.string().check(z.regex(/^\/\S*$/, "must be an absolute path without spaces"));
const absolutePath = z.string().check(z.regex(/^\/[^\0\r\n]*$/, "must be an absolute path"));
const variableName = z
  .string()
  .check(z.regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'must be letters, digits and "_", no digit first'));
const milliseconds = (max: number) => z.int().check(z.positive(), z.maximum(max));
const longest = 3_600_000;
const exitCode = z.int().check(z.minimum(0), z.maximum(255));
const commandLine = z.array(z.string()).check(
  z.minLength(1),
  z.refine(([program]) => program !== "", "must begin with a program"),
);

/** A signal by name or number ("SIGTERM", "TERM", 15, "RTMIN+3"); becomes its canonical name. None that cannot end or reach a process. */
const signalSchema = z.pipe(
  z.union([z.string(), z.number()]),
  z.transform((value, context) => {
    try {
      const { name } = parseSignal(value);
      if (!unfit.includes(name)) return name;
    } catch {
      // Told below, with what is allowed.
    }
    context.issues.push({
      code: "custom",
      input: value,
      message:
        "must be a signal by name or number (TERM, SIGTERM, 15, RTMIN+3) that asks for an end: not KILL (see killAllowed), STOP, TSTP, TTIN, TTOU, CONT or CHLD",
    });
    return z.NEVER;
  }),
);
const unfit: readonly string[] = [
  "SIGKILL",
  "SIGSTOP",
  "SIGTSTP",
  "SIGTTIN",
  "SIGTTOU",
  "SIGCONT",
  "SIGCHLD",
];

/** Readiness is off first. Then: until at most `maxConnections` clients were connected for `quietMs`, `timeoutMs` at the longest. */
const drainSchema = deferred(() =>
  z.strictObject({
    /** Before anything is counted: how long load balancers need to see the readiness. */
    delayMs: z._default(z.int().check(z.nonnegative(), z.maximum(longest)), 0),
    /** Established connections to the application's listening ports that do not hold up the stop. */
    maxConnections: z._default(z.int().check(z.nonnegative()), 0),
    quietMs: z._default(z.int().check(z.nonnegative(), z.maximum(longest)), 0),
    timeoutMs: milliseconds(longest),
  }),
);

/** Runs in the application's environment before it is signalled: "save now", "take no more writes". */
const quiesceSchema = deferred(() =>
  z.strictObject({
    command: commandLine,
    /** Takes back what `command` did when the stop is refused: the application shall serve on. */
    undo: z.optional(commandLine),
    timeoutMs: z._default(milliseconds(longest), 30_000),
    /** `refuse`: nothing is signalled and the stop is refused. `continue`: the failure is told in the receipt only. */
    onFailure: z._default(z.enum(["refuse", "continue"]), "refuse"),
  }),
);

const hookFields = z.strictObject({
  /** Defaults for one kind of server; whatever is said beside it wins. */
  preset: z._default(z.enum(presetNames), "generic"),
  drain: z.optional(z.nullable(drainSchema)),
  quiesce: z.optional(z.nullable(quiesceSchema)),
  /** First signal. */
  signal: z.optional(signalSchema),
  /** `main`: to the main process, which ends its own; to others once it is gone. `tree`: to every process. */
  signalTo: z.optional(z.enum(["main", "tree"])),
  /** From the first signal until the tree must be gone, or the next rung of the ladder follows. */
  graceMs: z.optional(milliseconds(longest)),
  /** Further rungs, one after the other. */
  escalation: z._default(
    z.array(deferred(() => z.strictObject({ signal: signalSchema, graceMs: milliseconds(longest) }))),
    [],
  ),
  /** Whether SIGKILL may follow the last rung. Off by default: a server may refuse because a save failed. */
  killAllowed: z._default(z.boolean(), false),
  /** Exit statuses that count as graceful. */
  gracefulExitCodes: z.optional(z.array(exitCode).check(z.minLength(1))),
  /** Deaths by signal that count as graceful: none unless listed. */
  gracefulSignals: z._default(z.array(signalSchema), []),
  /** A file that the application itself leaves at a clean end. It must be there, and newer than the start of the stop. */
  marker: z._default(z.nullable(deferred(() => z.strictObject({ file: absolutePath }))), null),
  /** Where the application's data lies: nothing below may be open, mapped or locked after the stop, and it is flushed. */
  dataDirectories: z._default(z.array(absolutePath), []),
  /** What leaves at the stop, after the whole tree is gone; its failure makes the stop not graceful. */
  export: z._default(
    z.nullable(
      deferred(() =>
        z.strictObject({ command: commandLine, timeoutMs: z._default(milliseconds(longest), 60_000) }),
      ),
    ),
    null,
  ),
  /** When a stop is refused: `serve` lets clients in as before, `hold` keeps them out. */
  onRefused: z._default(z.enum(["serve", "hold"]), "serve"),
  /** When the lease names somebody else: `keep` goes on (an expired lease is no evidence), `stop` stops by the ordinary path. */
  onLeaseLost: z._default(z.enum(["keep", "stop"]), "keep"),
});

/**
 * How to stop this application, complete: what it did not say comes from its preset. Times in ms.
 * Parsing a complete hook again gives the same one.
 */
export const hookSchema = z.pipe(
  hookFields,
  z.transform((said) => {
    const preset = presets[said.preset];
    return {
      ...said,
      drain: said.drain ?? null,
      quiesce: said.quiesce === undefined ? quiesceOf(said.preset) : said.quiesce,
      signal: said.signal ?? preset.signal,
      signalTo: said.signalTo ?? preset.signalTo,
      graceMs: said.graceMs ?? preset.graceMs,
      gracefulExitCodes: said.gracefulExitCodes ?? [...preset.gracefulExitCodes],
    };
  }),
);
export type Hook = z.output<typeof hookSchema>;
export type HookInput = z.input<typeof hookSchema>;

function quiesceOf(name: PresetName): z.output<typeof quiesceSchema> | null {
  const { quiesce } = presets[name];
  return quiesce === null ? null : quiesceSchema.parse(quiesce);
}

/** The longest that a stop by this hook takes if every phase uses all of its time, without proof and receipt. In ms. */
export const longestStopMs = (hook: Hook): number =>
  (hook.drain?.timeoutMs ?? 0) +
  (hook.drain?.delayMs ?? 0) +
  (hook.quiesce?.timeoutMs ?? 0) +
  hook.graceMs +
  hook.escalation.reduce((sum, { graceMs }) => sum + graceMs, 0) +
  (hook.export?.timeoutMs ?? 0);

/** An HTTP path of the application on its own port that answers 2xx once it can serve. */
export const readinessSchema = deferred(() =>
  z.strictObject({
    path: httpPath,
    /** From exec until the first 2xx. */
    timeoutMs: z._default(milliseconds(longest), 30_000),
  }),
);

/** A check of the started target before commit: a request that must answer 2xx (a write canary, for one). */
export const verifySchema = deferred(() =>
  z.strictObject({
    method: z._default(z.enum(["GET", "POST"]), "POST"),
    path: httpPath,
    timeoutMs: z._default(milliseconds(600_000), 10_000),
  }),
);
export type Verify = z.infer<typeof verifySchema>;

/** What the agent executes. */
export const workloadSchema = z.strictObject({
  command: z.array(z.string()).check(
    z.minLength(1),
    z.refine(([program]) => program !== "", "must begin with a program"),
  ),
  workingDirectory: z.optional(z.string().check(z.minLength(1))),
  environment: z._default(z.record(variableName, z.string()), {}),
});
