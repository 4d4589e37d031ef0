import * as v from "valibot";
import { AppError, type ErrorCode } from "./errors.ts";

/** A name from outside, as far as it looks like one: what was pasted where a name belongs may be a secret. */
function safeName(name: unknown): string {
  const text = String(name);
  const head = text.replace(/[^\w.-].*$/s, "").slice(0, 80);
  return head === text ? text : `${head}…`;
}

/** "hook.graceMs", "command[0]"; the whole document is "". */
function pathOf(path: readonly v.IssuePathItem[]): string {
  return path
    .map(({ key }, n) => (typeof key === "number" ? `[${key}]` : `${n === 0 ? "" : "."}${safeName(key)}`))
    .join("");
}

/** What kind of thing it is, and nothing of what is in it. */
function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  return typeof value === "number" && !Number.isFinite(value) ? String(value) : typeof value;
}

/**
 * The words for everything that a schema has none of its own for. They never say what was received, as valibot's do: it may be a secret.
 */
function wordsOf(issue: v.BaseIssue<unknown>): string {
  const { type, input } = issue;
  const expected = issue.expected ?? "";
  switch (type) {
    case "unknown_fields":
      return `unknown field ${(input as readonly string[]).map((name) => `"${safeName(name)}"`).join(", ")} (allowed: ${expected})`;
    case "variant":
      return `must be one of ${expected}`;
    case "name":
      return `the name ${issue.issues?.map(({ message }) => message).join(", ")}`;
    case "literal":
      return `Invalid input: expected ${expected}`;
    case "picklist":
      return `Invalid option: expected one of ${expected.replace(/^\(|\)$/g, "").replaceAll(" | ", "|")}`;
    case "regex":
      return `Invalid string: must match pattern ${expected}`;
    case "url":
      return "Invalid URL";
    case "safe_integer":
      return sizeWords("int to be", expected);
    case "min_value":
    case "max_value":
    case "gt_value":
      return sizeWords("number to be", expected);
    case "min_length":
      return sizeWords(
        typeof input === "string" ? "string to have" : "array to have",
        expected,
        typeof input === "string" ? " characters" : " items",
      );
    case "min_code_points":
    case "max_code_points":
      return sizeWords("string to have", expected, " characters");
    case "object":
    case "record":
    case "array":
    case "string":
    case "number":
    case "integer":
    case "boolean": {
      const kind = expected.toLowerCase();
      return input === undefined
        ? `is missing (expected ${kind})`
        : `Invalid input: expected ${kind}, received ${kindOf(input)}`;
    }
    default:
      return "Invalid input";
  }
}

/** ">=1" → "Too small: expected string to have >=1 characters". */
const sizeWords = (what: string, bound: string, unit = ""): string =>
  `Too ${bound.startsWith("<") ? "big" : "small"}: expected ${what} ${bound}${unit}`;

/** Whether `parseAs` would take it; for questions that have an answer either way. */
export const accepts = <S extends v.GenericSchema>(schema: S, value: unknown): value is v.InferInput<S> =>
  v.is(schema, value);

/**
 * Parses what came over an edge (a request, a file, a row), or throws one `AppError` of the given code that names every wrong field
 * by its path and never says what was in it. valibot's own `parse` does say it, in its error's message and fields.
 *
 * @param what the thing in words, as it shall stand in "cannot read <what>: …"
 */
export function parseAs<S extends v.GenericSchema>(
  schema: S,
  value: unknown,
  what: string,
  code: ErrorCode = "invalid-request",
): v.InferOutput<S> {
  const result = v.safeParse(schema, value, { message: wordsOf });
  if (result.success) return result.output;
  const reasons = result.issues.map(({ path, message }) =>
    path === undefined ? message : `"${pathOf(path)}": ${message}`,
  );
  throw new AppError(code, `cannot read ${what}: ${reasons.join("; ")}`);
}
