import { type AgentConfig, agentConfigSchema, parseAs } from "@baton/protocol";
import { canonicalJson } from "../canonical-json.ts";
import type { PlacementSpec } from "../cluster.port.ts";
import type { PlacementPaths } from "./placement-directory.ts";

/** The agent's configuration: the spec and what only this driver knows. @throws AppError `invalid-request` */
export function agentConfigOf(
  spec: PlacementSpec,
  paths: PlacementPaths,
  applicationPort: number | null,
): AgentConfig {
  const config = {
    ...spec.agent,
    version: 1,
    placement: spec.placement,
    stateDirectory: paths.stateDirectory,
    listen: { host: "127.0.0.1", port: 0 },
    applicationPort,
  };
  return parseAs(agentConfigSchema, config, `the spec of placement ${spec.placement}`);
}

/** Whether the stored configuration was made from this spec; strict: no field may change during a placement's life. */
export function isMadeFrom(stored: AgentConfig, spec: PlacementSpec, paths: PlacementPaths): boolean {
  return canonicalJson(stored) === canonicalJson(agentConfigOf(spec, paths, stored.applicationPort));
}
