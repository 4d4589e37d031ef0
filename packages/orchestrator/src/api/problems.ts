import { type AppError, problemContentType, toProblem } from "@baton/protocol";

/**
 * The one place where an error becomes an answer.
 *
 * @param request a body that was not read to its end must not be taken for the next request: then the connection closes.
 */
export function problemResponse(error: AppError, request: Request): Response {
  const problem = toProblem(error);
  const headers: Record<string, string> = { "content-type": problemContentType };
  if (request.body !== null && (!request.bodyUsed || problem.status === 413)) headers["connection"] = "close";
  if (problem.status === 401) headers["www-authenticate"] = "Bearer";
  return new Response(JSON.stringify(problem), { status: problem.status, headers });
}
