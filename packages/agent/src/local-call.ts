import { request } from "node:http";
import { AppError, fromProblem, parseAs, problemSchema } from "@baton/protocol";
import { socketPath } from "./local-socket.ts";

/** One request to the agent of a state directory. @throws AppError `agent-unreachable`, or what the agent says */
export async function callLocally(params: {
  readonly stateDirectory: string;
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly timeoutMs: number;
}): Promise<unknown> {
  const { stateDirectory, method, path, timeoutMs } = params;
  const { status, text } = await new Promise<{ status: number; text: string }>((resolve, reject) => {
    const call = request(
      { socketPath: socketPath(stateDirectory), method, path, signal: AbortSignal.timeout(timeoutMs) },
      (response) => {
        let body = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => (body += chunk));
        response.once("end", () => resolve({ status: response.statusCode ?? 0, text: body }));
        response.once("error", reject);
      },
    );
    call.once("error", reject);
    call.end();
  }).catch((error: unknown) => {
    throw new AppError(
      "agent-unreachable",
      `cannot reach the agent of ${stateDirectory}: no agent listens there, or it may not be entered`,
      { cause: error },
    );
  });
  const value: unknown = JSON.parse(text);
  if (status < 200 || status > 299) throw fromProblem(parseAs(problemSchema, value, "the agent's problem"));
  return value;
}
