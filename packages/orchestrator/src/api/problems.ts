import { type AppError, problemContentType, toProblem } from "@baton/protocol";

/** The one place where an error becomes an answer. */
export function problemResponse(error: AppError): Response {
  const problem = toProblem(error);
  const headers: Record<string, string> = { "content-type": problemContentType };
  if (problem.status === 401) headers["www-authenticate"] = "Bearer";
  return new Response(JSON.stringify(problem), { status: problem.status, headers });
}
