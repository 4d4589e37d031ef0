import { AppError, isAppError } from "@baton/protocol";

/** The one error of this folder. `detail` must not hold the password. */
export function databaseUnavailable(detail: string, cause?: unknown): AppError {
  return new AppError("database-unavailable", detail, cause === undefined ? {} : { cause });
}

/** An `AppError` as it is; anything else (file system, spawn, SQL, abort) as "cannot <act> …: <why>". */
export function asUnavailable(act: "start" | "stop", directory: string, error: unknown): AppError {
  if (isAppError(error)) return error;
  const why = error instanceof Error ? error.message : String(error);
  return databaseUnavailable(`cannot ${act} the embedded Postgres in ${directory}: ${why}`, error);
}

/** The `code` of a system or SQL error, e.g. `ENOENT` or `57P03`. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
