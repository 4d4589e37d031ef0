import { AppError, type ErrorCode, parseAs } from "@baton/protocol";
import type { Context } from "hono";

type Schema = Parameters<typeof parseAs>[0];

/** The JSON body of a request, parsed; a body that is not JSON is an error of the caller, and none of it is echoed. */
export async function readBody<S extends Schema>(
  context: Context,
  schema: S,
  what: string,
  code: ErrorCode = "invalid-request",
) {
  let value: unknown;
  try {
    value = await context.req.json();
  } catch {
    throw new AppError(code, `cannot read ${what}: the body is not JSON`);
  }
  return parseAs(schema, value, what, code);
}
