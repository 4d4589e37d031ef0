import type { ServerResponse } from "node:http";
import { isAppError, problemContentType, toAppError, toProblem } from "@baton/protocol";
import { type Log, reasonOf } from "./log.ts";
import { hasBody } from "./read-body.ts";

/** The one place where failures become answers. What is not an AppError is told to the log only: its text may hold what was sent to us. */
export function sendProblem(response: ServerResponse, error: unknown, log: Log): void {
  if (!isAppError(error)) log("error", "a request failed", { reason: reasonOf(error) });
  const problem = toProblem(toAppError(error));
  send(response, problem.status, problemContentType, problem);
}

/** For what HTTP itself demands and the error table has no line for. */
export function sendHttpProblem(
  response: ServerResponse,
  params: { readonly status: number; readonly title: string; readonly detail: string },
): void {
  const { status, title, detail } = params;
  send(response, status, problemContentType, {
    type: "about:blank",
    title,
    status,
    code: "invalid-request",
    detail,
    retry: "never",
  });
}

export const sendJson = (response: ServerResponse, status: number, body: unknown): void =>
  send(response, status, "application/json", body);

function send(response: ServerResponse, status: number, type: string, body: unknown): void {
  if (response.headersSent || response.destroyed) return;
  // What was not read of the body must not be taken for the next request.
  if (!response.req.complete && hasBody(response.req)) response.setHeader("connection", "close");
  const text = JSON.stringify(body);
  const length = Buffer.byteLength(text);
  response.writeHead(status, { "content-type": type, "content-length": length, "cache-control": "no-store" });
  response.end(text);
}
