import { readFile } from "node:fs/promises";
import { join } from "node:path";
import {
  type AgentStatus,
  type Command,
  type PrivateKey,
  type Route,
  agentEndpointSchema,
  agentStatusSchema,
  parseAs,
  privateKeySchema,
  signCommand,
} from "@baton/protocol";
import { type Answer, type Call, send } from "./send.ts";
import type { Stage } from "./stage.ts";

/** The directory in which the agent of the placement that serves keeps its state. */
export function placementState({ harbour }: Stage, { cluster, placement }: Route): string {
  return join(harbour.directory, String(cluster), "placements", String(placement), "state");
}

/** The placement's own key, which signs its receipts. */
export const placementKey = (stage: Stage, route: Route): Promise<PrivateKey> =>
  readKey(join(placementState(stage, route), "key.json"));

/** The orchestrator's key, which signs commands. */
export const commandKeyOf = ({ harbour }: Stage): Promise<PrivateKey> =>
  readKey(join(harbour.directory, "orchestrator", "command-key.json"));

async function readKey(file: string): Promise<PrivateKey> {
  return parseAs(privateKeySchema, JSON.parse(await readFile(file, "utf8")), "the key");
}

/** One raw request to the agent of the placement that serves. */
export async function callAgent(
  stage: Stage,
  route: Route,
  { path, ...call }: Call & { readonly path: string },
): Promise<Answer> {
  const { url } = parseAs(
    agentEndpointSchema,
    JSON.parse(await readFile(join(placementState(stage, route), "endpoint.json"), "utf8")),
    "the endpoint",
  );
  return send(new URL(path, url), call);
}

/** A command as the orchestrator would send it to the placement that serves. */
export async function sign(stage: Stage, route: Route, command: Command): Promise<string> {
  const key = await commandKeyOf(stage);
  return signCommand({ key, placement: String(route.placement), epoch: route.epoch, command });
}

/** Asked with a good token: what the orchestrator would see. */
export async function agentStatus(stage: Stage, route: Route): Promise<AgentStatus> {
  const token = await sign(stage, route, { kind: "read" });
  const answer = await callAgent(stage, route, { method: "GET", path: "/v1/status", token });
  return parseAs(agentStatusSchema, JSON.parse(answer.text), "the status");
}
