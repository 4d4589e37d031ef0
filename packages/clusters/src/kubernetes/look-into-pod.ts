import { agentEndpointSchema, integer, object, parseAs, strictObject } from "@baton/protocol";
import * as v from "valibot";
import type { Place } from "./names.ts";

const lockSchema = strictObject({ pid: integer, startTime: v.string(), bootId: v.string() });
const processSchema = object({ pid: integer, parent: integer, command: v.string() });
const lookSchema = object({
  lock: v.nullable(lockSchema),
  endpoint: v.nullable(agentEndpointSchema),
  processes: v.array(processSchema),
});

export type PodProcess = v.InferOutput<typeof processSchema>;
export type Looked = v.InferOutput<typeof lookSchema>;

/** What the agent's program shows in that very container. Null when it did not run there to its end. @throws AppError `cluster-unavailable` */
export async function lookIntoPod(
  { client, namespace }: Place,
  params: { readonly pod: string; readonly container: string; readonly look: readonly string[] },
  signal: AbortSignal,
): Promise<Looked | null> {
  const { pod, container, look } = params;
  const { exitCode, stdout } = await client.exec({ namespace, pod, container, command: look, signal });
  if (exitCode !== 0) return null;
  try {
    return parseAs(lookSchema, JSON.parse(stdout), `what runs in pod ${pod}`, "cluster-unavailable");
  } catch {
    return null;
  }
}
