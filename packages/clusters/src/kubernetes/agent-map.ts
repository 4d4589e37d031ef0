import { readFile } from "node:fs/promises";
import { AppError } from "@baton/protocol";
import { digestOf } from "../digest.ts";
import { reasonOf } from "../deadline.ts";
import { agentFile } from "./agent-config.ts";
import type { KubeObject } from "./kube-object.ts";
import { type Place, assertOurs } from "./names.ts";

const agentLabel = { "baton.dev/agent": "true" };

/**
 * Makes sure that the agent's file is there to be mounted, by its content's name: placements of other versions keep theirs. It is not removed with a placement.
 *
 * @returns its ConfigMap's name
 */
export async function ensureAgentMap(place: Place, file: string, signal: AbortSignal): Promise<string> {
  const { client, namespace } = place;
  const content = await readAgent(file);
  const name = `baton-agent-${digestOf(content).slice("sha256:".length).slice(0, 16)}`;
  const object: KubeObject = {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name, namespace, labels: agentLabel },
    immutable: true,
    data: { [agentFile]: content },
  };
  const there =
    (await client.get({ apiVersion: "v1", kind: "ConfigMap", namespace, name, signal })) ??
    (await client.create({ object, signal }));
  if (there !== null) assertOurs(place, there, agentLabel);
  return name;
}

async function readAgent(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    throw new AppError("cluster-unavailable", `cannot read the agent ${file} (${reasonOf(error)}); build it`);
  }
}
