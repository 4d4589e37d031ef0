/** When a caller may try again: `after` = later, unchanged; `operator` = after a person changed something. */
export type Retry = "never" | "after" | "operator";

interface ErrorEntry {
  readonly status: number;
  readonly retry: Retry;
  readonly title: string;
}

/** The one table of everything that can go wrong, for every package and every wire. */
export const errorTable = {
  "invalid-request": { status: 400, retry: "never", title: "The request is not valid" },
  "request-too-large": { status: 413, retry: "never", title: "The request is too large" },
  "invalid-manifest": { status: 400, retry: "never", title: "The manifest is not valid" },
  "invalid-configuration": { status: 400, retry: "operator", title: "The configuration is not valid" },
  unauthenticated: { status: 401, retry: "never", title: "The credential is missing or wrong" },
  forbidden: { status: 403, retry: "never", title: "The token's role does not allow it" },
  "token-expired": { status: 401, retry: "never", title: "The command token has expired" },
  "token-replayed": { status: 403, retry: "never", title: "The command token was used before" },
  "token-foreign": { status: 403, retry: "never", title: "The command token is for another placement" },
  "stale-epoch": { status: 403, retry: "never", title: "The command belongs to an older epoch" },
  "stale-term": { status: 409, retry: "never", title: "A later life of the operation has begun" },
  "saga-unknown": {
    status: 409,
    retry: "operator",
    title: "This version does not know the operation's steps",
  },
  "not-found": { status: 404, retry: "never", title: "There is no such thing" },
  "unknown-application": { status: 404, retry: "never", title: "There is no such application" },
  "unknown-cluster": { status: 404, retry: "never", title: "There is no such cluster" },
  "unknown-database": { status: 404, retry: "never", title: "There is no such database" },
  "unknown-storage": { status: 404, retry: "never", title: "There is no such storage" },
  "unknown-operation": { status: 404, retry: "never", title: "There is no such operation" },
  "unknown-placement": { status: 404, retry: "never", title: "There is no such placement" },
  "unknown-token": { status: 404, retry: "never", title: "There is no such token" },
  "same-cluster": { status: 409, retry: "never", title: "The application is on that cluster already" },
  "already-deployed": { status: 409, retry: "never", title: "The application is deployed already" },
  "not-deployed": { status: 409, retry: "never", title: "The application is not deployed" },
  "application-stopped": { status: 409, retry: "operator", title: "The application is stopped" },
  "operation-open": { status: 409, retry: "after", title: "Another operation holds the application" },
  "operation-halted": { status: 409, retry: "operator", title: "A halted operation holds the application" },
  aborted: { status: 409, retry: "never", title: "Somebody had the operation taken back" },
  "past-pivot": { status: 409, retry: "never", title: "The operation is past its point of no return" },
  "not-halted": { status: 409, retry: "never", title: "The operation waits for no decision" },
  "unknown-plan": { status: 404, retry: "never", title: "There is no such plan" },
  "plan-stale": { status: 409, retry: "never", title: "Something changed since the plan was made" },
  "in-use": { status: 409, retry: "operator", title: "The record is in use and cannot be changed" },
  "wrong-state": { status: 409, retry: "after", title: "The agent is in another state" },
  "command-conflict": { status: 409, retry: "never", title: "The key was used for another command" },
  "command-withdrawn": { status: 409, retry: "never", title: "The command was withdrawn" },
  "grant-refused": { status: 409, retry: "never", title: "The grant is not valid on the lease" },
  "grant-burned": { status: 409, retry: "never", title: "The grant was burned" },
  "application-exited": { status: 502, retry: "never", title: "The application exited" },
  "application-not-ready": { status: 504, retry: "never", title: "The application did not become ready" },
  "stop-refused": { status: 409, retry: "operator", title: "The application did not stop" },
  "stop-unknown": {
    status: 504,
    retry: "operator",
    title: "It is not known whether the application stopped",
  },
  "handover-refused": { status: 409, retry: "operator", title: "The evidence does not allow a handover" },
  "fence-unproven": { status: 409, retry: "operator", title: "The fence is not proven" },
  "fence-standing": { status: 409, retry: "never", title: "The identity was disabled for good" },
  "receipt-invalid": { status: 400, retry: "never", title: "The receipt is not valid" },
  "orchestrator-unreachable": {
    status: 503,
    retry: "after",
    title: "The orchestrator does not answer",
  },
  "agent-unreachable": { status: 503, retry: "after", title: "The agent does not answer" },
  "agent-identity": { status: 409, retry: "operator", title: "The agent has another key than recorded" },
  "agent-failed": { status: 502, retry: "after", title: "The agent failed" },
  "cluster-unavailable": { status: 503, retry: "after", title: "The cluster does not answer" },
  "placement-conflict": { status: 409, retry: "operator", title: "The placement's name is taken" },
  "storage-unreachable": { status: 503, retry: "after", title: "The storage does not answer" },
  "storage-unclear": {
    status: 503,
    retry: "after",
    title: "It is not known whether the storage took the write",
  },
  "storage-bucket-missing": { status: 422, retry: "operator", title: "The bucket does not exist" },
  "storage-credentials": { status: 422, retry: "operator", title: "The storage rejects the credentials" },
  "storage-conditions": { status: 422, retry: "operator", title: "The storage ignores conditional writes" },
  "storage-stale": { status: 422, retry: "operator", title: "The storage shows old objects" },
  "storage-unprotected": {
    status: 422,
    retry: "operator",
    title: "The application's key can write to leases",
  },
  "storage-failed": { status: 502, retry: "after", title: "The storage failed" },
  "storage-overlap": { status: 409, retry: "operator", title: "The prefix overlaps with another one" },
  "lease-foreign": { status: 409, retry: "operator", title: "The lease belongs to somebody else" },
  "lease-missing": { status: 409, retry: "operator", title: "A known lease is missing" },
  "lease-newer": { status: 409, retry: "operator", title: "The lease is newer than the records" },
  "lease-mismatch": { status: 409, retry: "operator", title: "The lease does not say what it must say" },
  "lease-superseded": { status: 409, retry: "after", title: "Somebody else changed the lease" },
  "copier-unfit": { status: 422, retry: "operator", title: "The program that copies cannot be used" },
  "copier-failed": { status: 502, retry: "after", title: "The program that copies failed" },
  "repository-key": { status: 422, retry: "operator", title: "The repository has another key" },
  "repository-locked": { status: 409, retry: "after", title: "Somebody works on the repository" },
  "volume-foreign": { status: 409, retry: "operator", title: "The directory belongs to somebody else" },
  "volume-unfit": { status: 422, retry: "operator", title: "The path cannot be a volume" },
  "volume-space": { status: 422, retry: "operator", title: "There is no room for the volume" },
  "volume-mismatch": { status: 409, retry: "operator", title: "The copy is not what was copied" },
  "secret-unavailable": { status: 422, retry: "operator", title: "A secret cannot be read" },
  "traffic-unusable": { status: 422, retry: "operator", title: "A receiver of the route cannot be told" },
  "traffic-failed": { status: 502, retry: "after", title: "A receiver of the route did not confirm it" },
  "traffic-refused": {
    status: 409,
    retry: "operator",
    title: "A receiver of the route has what is not ours",
  },
  "preflight-failed": { status: 409, retry: "operator", title: "A preflight check failed" },
  "deadline-exceeded": { status: 504, retry: "after", title: "The deadline has passed" },
  "injected-fault": { status: 500, retry: "never", title: "A planted fault" },
  "database-unfit": { status: 422, retry: "operator", title: "The database cannot be used" },
  "database-unavailable": { status: 503, retry: "after", title: "The database does not answer" },
  internal: { status: 500, retry: "after", title: "Something went wrong inside" },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof errorTable;

export interface AppErrorOptions {
  readonly cause?: unknown;
  /** Facts for the log and for operators; never secrets. */
  readonly meta?: Readonly<Record<string, unknown>> | undefined;
}

/**
 * An error that may be shown: `detail` is one sentence, "cannot <do what> <which>: <why>", and what to do.
 * Recognised by `name` and `code` (see {@link isAppError}), so that it survives a journal.
 */
export class AppError extends Error {
  override readonly name = "AppError";
  readonly code: ErrorCode;
  readonly meta: Readonly<Record<string, unknown>> | undefined;

  constructor(code: ErrorCode, detail: string, options: AppErrorOptions = {}) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.meta = options.meta;
  }
}

/** Whether it is an `AppError`, also one of another copy of this package or out of a journal. */
export function isAppError(error: unknown): error is AppError {
  return (
    error instanceof Error &&
    error.name === "AppError" &&
    "code" in error &&
    typeof error.code === "string" &&
    Object.hasOwn(errorTable, error.code)
  );
}

/** An `AppError` as it is, anything else as `internal` with the original as cause: its text is not for clients. */
export function toAppError(error: unknown): AppError {
  if (isAppError(error)) return error;
  return new AppError("internal", "cannot finish the request: something went wrong inside; see the log", {
    cause: error,
  });
}
