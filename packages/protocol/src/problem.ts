import * as v from "valibot";
import { AppError, type ErrorCode, errorTable } from "./errors.ts";
import { number, object } from "./schema.ts";

/** RFC 9457 problem details; `code` is a key of the error table. */
export const problemSchema = object({
  type: v.string(),
  title: v.string(),
  status: number,
  code: v.string(),
  detail: v.string(),
  retry: v.string(),
});
export type Problem = v.InferOutput<typeof problemSchema>;

export const problemContentType = "application/problem+json";

/** What a client is told of an error: its sentence and its line of the table, never its cause or meta. */
export function toProblem(error: AppError): Problem {
  const entry = errorTable[error.code];
  return {
    type: `urn:baton:problem:${error.code}`,
    title: entry.title,
    status: entry.status,
    code: error.code,
    detail: error.message,
    retry: entry.retry,
  };
}

/** The error a problem document tells of; an unknown code becomes `internal` with the sender's sentence. */
export function fromProblem(problem: Problem): AppError {
  const code: ErrorCode = Object.hasOwn(errorTable, problem.code) ? (problem.code as ErrorCode) : "internal";
  return new AppError(code, problem.detail);
}
