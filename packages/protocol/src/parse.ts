import * as z from "zod/mini";
import english from "zod/v4/locales/en.js";
import { AppError, type ErrorCode } from "./errors.ts";

// The mini entry comes without words: "Invalid input" would not say what was expected.
z.config(english());

/** A name from outside, as far as it looks like one: what was pasted where a name belongs may be a secret. */
function safeName(name: PropertyKey): string {
  const text = String(name);
  const head = text.replace(/[^\w.-].*$/s, "").slice(0, 80);
  return head === text ? text : `${head}…`;
}

/** "hook.graceMs", "command[0]"; the whole document is "". */
function pathOf(path: readonly PropertyKey[]): string {
  return path
    .map((part, n) => (typeof part === "number" ? `[${part}]` : `${n === 0 ? "" : "."}${safeName(part)}`))
    .join("");
}

const quoted = (names: readonly string[]): string => names.map((name) => `"${name}"`).join(", ");

/** Two kinds of schema refuse keys: a strict object, and a record whose keys are listed. */
function allowedIn(schema: unknown): readonly string[] {
  const { def } = (schema as z.core.$ZodObject | z.core.$ZodRecord)._zod;
  return def.type === "object" ? Object.keys(def.shape) : [...(def.keyType._zod.values as Set<string>)];
}

/**
 * The words for what the locale says too little about; undefined leaves it to the locale.
 * Neither ever says what was received: it may be a secret.
 */
function wordsOf(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case "unrecognized_keys":
      return `unknown field ${quoted(issue.keys.map(safeName))} (allowed: ${allowedIn(issue.inst).join(", ")})`;
    case "invalid_union":
      // Only discriminated ones know their options.
      return Array.isArray(issue.options) ? `must be one of ${quoted(issue.options.map(String))}` : undefined;
    case "invalid_key":
      return `the name ${issue.issues.map(({ message }) => message).join(", ")}`;
    case "invalid_type":
      return issue.input === undefined ? `is missing (expected ${issue.expected})` : undefined;
    default:
      return undefined;
  }
}

/**
 * Parses what came over an edge (a request, a file, a row), or throws one `AppError` of the given code that names every wrong field
 * by its path and never says what was in it.
 *
 * @param what the thing in words, as it shall stand in "cannot read <what>: …"
 */
export function parseAs<S extends z.ZodMiniType>(
  schema: S,
  value: unknown,
  what: string,
  code: ErrorCode = "invalid-request",
): z.output<S> {
  const result = schema.safeParse(value, { error: wordsOf });
  if (result.success) return result.data;
  const reasons = result.error.issues.map(({ path, message }) =>
    path.length === 0 ? message : `"${pathOf(path)}": ${message}`,
  );
  throw new AppError(code, `cannot read ${what}: ${reasons.join("; ")}`);
}
