import * as z from "zod/mini";
import english from "zod/v4/locales/en.js";
import { AppError, type ErrorCode } from "./errors.ts";

// The mini entry comes without words: "Invalid input" would not say what was expected.
z.config(english());

type Issue = z.core.$ZodIssue;

/** "hook.graceMs", "command[0]"; the whole document is "". */
function pathOf(issue: Issue): string {
  return issue.path
    .map((part, n) => (typeof part === "number" ? `[${part}]` : n === 0 ? String(part) : `.${String(part)}`))
    .join("");
}

function allowedAt(schema: z.ZodMiniType, path: readonly PropertyKey[]): readonly string[] {
  let at: unknown = schema;
  for (const part of [...path, undefined]) {
    for (;;) {
      const def: { innerType?: unknown; type?: string } | undefined = (at as z.core.$ZodType | undefined)
        ?._zod.def;
      if (def?.innerType === undefined) break;
      at = def.innerType;
    }
    const def = (at as z.core.$ZodType | undefined)?._zod.def as
      { shape?: Record<string, unknown>; element?: unknown; valueType?: unknown } | undefined;
    if (part === undefined) return Object.keys(def?.shape ?? {});
    at = def?.shape?.[String(part)] ?? def?.element ?? def?.valueType;
  }
  return [];
}

function sentence(issue: Issue, schema: z.ZodMiniType): string {
  const at = pathOf(issue);
  if (issue.code === "unrecognized_keys") {
    const allowed = allowedAt(schema, issue.path);
    const where = at === "" ? "" : ` in "${at}"`;
    const names = issue.keys.map((key) => `"${key}"`).join(", ");
    return `unknown field ${names}${where} (allowed: ${allowed.join(", ")})`;
  }
  return at === "" ? issue.message : `"${at}": ${issue.message}`;
}

/**
 * Parses what came over an edge (a request, a file, a row), or throws one `AppError` of the given code that names every wrong field.
 *
 * @param what the thing in words, as it shall stand in "cannot read <what>: …"
 */
export function parseAs<S extends z.ZodMiniType>(
  schema: S,
  value: unknown,
  what: string,
  code: ErrorCode = "invalid-request",
): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const reasons = result.error.issues.map((issue) => sentence(issue, schema));
  throw new AppError(code, `cannot read ${what}: ${reasons.join("; ")}`);
}
