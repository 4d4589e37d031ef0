import { AppError, type ErrorCode } from "@baton/protocol";

/** @param why says also what to do, where a person can */
export const cannotTell = (target: string, code: ErrorCode, why: string, cause?: unknown): AppError =>
  new AppError(code, `cannot tell ${target} the route: ${why}`, { cause });

/** Why a try ended before its end, in words; null where it did not. */
export const whyEnded = ({ aborted, reason }: AbortSignal): string | null =>
  aborted
    ? reason instanceof Error && reason.name === "TimeoutError"
      ? "it did not end within its deadline"
      : "the orchestrator is stopping"
    : null;
