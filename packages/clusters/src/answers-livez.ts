import { get } from "node:http";

/** Whether an agent answers there; false for every failure, so ask again. */
export async function answersLivez(url: string, signal: AbortSignal): Promise<boolean> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(1_000)]);
  return await new Promise((resolve) => {
    // No pooled connection: one that is kept would hold this process's exit and the agent's.
    const request = get(new URL("/livez", url), { agent: false, signal: limit }, (response) => {
      response.once("error", () => resolve(false)).resume();
      resolve(response.statusCode === 200);
    });
    request.once("error", () => resolve(false));
  });
}
