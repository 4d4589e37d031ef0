import * as v from "valibot";
import { parseAs } from "./parse.ts";
import { type PresetName, presetNames, presets } from "./presets.ts";
import { integer, number, record, strictObject } from "./schema.ts";
import { parseSignal } from "./signals.ts";

const httpPath = v.pipe(v.string(), v.regex(/^\/\S*$/, "must be an absolute path without spaces"));
const absolutePath = v.pipe(v.string(), v.regex(/^\/[^\0\r\n]*$/, "must be an absolute path"));
const variableName = v.pipe(
  v.string(),
  v.regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'must be letters, digits and "_", no digit first'),
);
const milliseconds = (max: number) => v.pipe(integer, v.gtValue(0), v.maxValue(max));
const longest = 3_600_000;
const exitCode = v.pipe(integer, v.minValue(0), v.maxValue(255));
const commandLine = v.pipe(
  v.array(v.string()),
  v.minLength(1),
  v.check(([program]) => program !== "", "must begin with a program"),
);

/** A signal by name or number ("SIGTERM", "TERM", 15, "RTMIN+3"); becomes its canonical name. None that cannot end or reach a process. */
const signalSchema = v.pipe(
  v.union([v.string(), number]),
  v.rawTransform(({ dataset: { value }, addIssue, NEVER }) => {
    try {
      const { name } = parseSignal(value);
      if (!unfit.includes(name)) return name;
    } catch {
      // Told below, with what is allowed.
    }
    addIssue({
      message:
        "must be a signal by name or number (TERM, SIGTERM, 15, RTMIN+3) that asks for an end: not KILL (see killAllowed), STOP, TSTP, TTIN, TTOU, CONT or CHLD",
    });
    return NEVER;
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
const drainSchema = strictObject({
  /** Before anything is counted: how long load balancers need to see the readiness. */
  delayMs: v.optional(v.pipe(integer, v.minValue(0), v.maxValue(longest)), 0),
  /** Established connections to the application's listening ports that do not hold up the stop. */
  maxConnections: v.optional(v.pipe(integer, v.minValue(0)), 0),
  quietMs: v.optional(v.pipe(integer, v.minValue(0), v.maxValue(longest)), 0),
  timeoutMs: milliseconds(longest),
});

/** Runs in the application's environment before it is signalled: "save now", "take no more writes". */
const quiesceSchema = strictObject({
  command: commandLine,
  /** Takes back what `command` did when the stop is refused: the application shall serve on. */
  undo: v.optional(commandLine),
  timeoutMs: v.optional(milliseconds(longest), 30_000),
  /** `refuse`: nothing is signalled and the stop is refused. `continue`: the failure is told in the receipt only. */
  onFailure: v.optional(v.picklist(["refuse", "continue"]), "refuse"),
});

const hookFields = strictObject({
  /** Defaults for one kind of server; whatever is said beside it wins. */
  preset: v.optional(v.picklist(presetNames), "generic"),
  drain: v.optional(v.nullable(drainSchema)),
  quiesce: v.optional(v.nullable(quiesceSchema)),
  /** First signal. */
  signal: v.optional(signalSchema),
  /** `main`: to the main process, which ends its own; to others once it is gone. `tree`: to every process. */
  signalTo: v.optional(v.picklist(["main", "tree"])),
  /** From the first signal until the tree must be gone, or the next rung of the ladder follows. */
  graceMs: v.optional(milliseconds(longest)),
  /** Further rungs, one after the other. */
  escalation: v.optional(v.array(strictObject({ signal: signalSchema, graceMs: milliseconds(longest) })), []),
  /** Whether SIGKILL may follow the last rung. Off by default: a server may refuse because a save failed. */
  killAllowed: v.optional(v.boolean(), false),
  /** Exit statuses that count as graceful. */
  gracefulExitCodes: v.optional(v.pipe(v.array(exitCode), v.minLength(1))),
  /** Deaths by signal that count as graceful: none unless listed. */
  gracefulSignals: v.optional(v.array(signalSchema), []),
  /** A file that the application itself leaves at a clean end. It must be there, and newer than the start of the stop. */
  marker: v.optional(v.nullable(strictObject({ file: absolutePath })), null),
  /** Where the application's data lies: nothing below may be open, mapped or locked after the stop, and it is flushed. */
  dataDirectories: v.optional(v.array(absolutePath), []),
  /** What leaves at the stop, after the whole tree is gone; its failure makes the stop not graceful. */
  export: v.optional(
    v.nullable(strictObject({ command: commandLine, timeoutMs: v.optional(milliseconds(longest), 60_000) })),
    null,
  ),
  /** When a stop is refused: `serve` lets clients in as before, `hold` keeps them out. */
  onRefused: v.optional(v.picklist(["serve", "hold"]), "serve"),
  /**
   * When the lease names somebody else, or could not be renewed for long: `keep` goes on (an expired lease is no evidence), `stop` stops by the
   * ordinary path.
   */
  onLeaseLost: v.optional(v.picklist(["keep", "stop"]), "keep"),
});

/**
 * How to stop this application, complete: what it did not say comes from its preset. Times in ms.
 * Parsing a complete hook again gives the same one.
 */
export const hookSchema = v.pipe(
  hookFields,
  v.transform((said) => {
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
export type Hook = v.InferOutput<typeof hookSchema>;
export type HookInput = v.InferInput<typeof hookSchema>;

function quiesceOf(name: PresetName): v.InferOutput<typeof quiesceSchema> | null {
  const { quiesce } = presets[name];
  return quiesce === null ? null : parseAs(quiesceSchema, quiesce, "the preset", "internal");
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
export const readinessSchema = strictObject({
  path: httpPath,
  /** From exec until the first 2xx. */
  timeoutMs: v.optional(milliseconds(longest), 30_000),
});

/** A request to the application that must be answered with 2xx. */
const requestCheckFields = {
  method: v.optional(v.picklist(["GET", "POST"]), "POST"),
  path: httpPath,
  timeoutMs: v.optional(milliseconds(600_000), 10_000),
};

/** Runs in the application's environment and must exit with status 0: a query, for one. */
export const commandCheckSchema = strictObject({
  command: commandLine,
  timeoutMs: v.optional(milliseconds(600_000), 10_000),
});

/** The checks of the started target before commit: a request (a write canary, for one), then whatever else is said, and all of it again and again. */
export const verifySchema = strictObject({
  ...requestCheckFields,
  requests: v.optional(v.pipe(v.array(strictObject(requestCheckFields)), v.maxLength(16))),
  commands: v.optional(v.pipe(v.array(commandCheckSchema), v.maxLength(16))),
  /** For so long all checks must hold, each second, before the point of no return. The application is up meanwhile, and closed to clients. */
  soakMs: v.optional(v.pipe(integer, v.minValue(0), v.maxValue(longest))),
});
export type Verify = v.InferOutput<typeof verifySchema>;

/** What the agent executes. */
export const workloadSchema = strictObject({
  command: v.pipe(
    v.array(v.string()),
    v.minLength(1),
    v.check(([program]) => program !== "", "must begin with a program"),
  ),
  workingDirectory: v.optional(v.pipe(v.string(), v.minLength(1))),
  environment: v.optional(record(variableName, v.string()), {}),
});
