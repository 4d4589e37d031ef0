import { readFile } from "node:fs/promises";
import {
  type AgentConfig,
  AppError,
  agentConfigSchema,
  agentPortInContainer,
  longestStopMs,
  parseAs,
} from "@baton/protocol";
import type { PlacementSpec } from "../cluster.port.ts";
import { reasonOf } from "../deadline.ts";

const configDirectory = "/etc/baton";
export const mounts = { config: configDirectory, state: "/var/lib/baton", agent: "/opt/baton" };
export const agentFile = "baton-agent.cjs";
/** Below the volume's root, which is not the agent's own. */
const stateDirectory = `${mounts.state}/state`;
export const slotVariable = "BATON_SLOT";

/** For proof, receipt and lease, after the longest stop that the hook allows. */
const reserveMs = 10_000;
const leastGraceSeconds = 30;
const runArguments: readonly string[] = ["run", "--config", `${configDirectory}/agent.json`];
const lookArguments: readonly string[] = ["look", "--state-directory", stateDirectory];

/** How the container executes its agent, and how it shows who is there. */
export const agentCommands = (
  agent: readonly string[] = ["node", `${mounts.agent}/${agentFile}`],
): { readonly run: string[]; readonly look: string[] } => ({
  run: [...agent, ...runArguments],
  look: [...agent, ...lookArguments],
});
export const isAgentRun = (command: string): boolean => command.endsWith(` ${runArguments.join(" ")}`);
export const isAgentLook = (command: string): boolean => command.endsWith(` ${lookArguments.join(" ")}`);

export interface AgentSettings {
  readonly config: AgentConfig;
  readonly graceSeconds: number;
}

/**
 * The agent's configuration in a pod, and how long the pod must have for its end; its slot comes by the environment, since no UID is known yet.
 *
 * @throws AppError `invalid-request`
 */
export function agentSettingsOf(
  spec: PlacementSpec,
  params: { readonly port: number; readonly graceSeconds: number },
): AgentSettings {
  const { storage } = spec.agent;
  const raw = {
    ...spec.agent,
    ...(storage && { storage: { ...storage, control: { file: `${configDirectory}/control.json` } } }),
    version: 1,
    placement: spec.placement,
    stateDirectory,
    listen: { host: "0.0.0.0", port: agentPortInContainer },
    applicationPort: params.port,
    // The user's objects say what is in the application's environment, and its log is the container's.
    environment: spec.kubernetes === undefined ? "clean" : "inherit",
    output: "inherit",
  };
  const config = parseAs(agentConfigSchema, raw, `the spec of placement ${spec.placement}`);
  const neededMs = longestStopMs(config.hook) + reserveMs;
  const graceSeconds = Math.max(leastGraceSeconds, params.graceSeconds, Math.ceil(neededMs / 1_000));
  return { config: { ...config, platformGraceMs: graceSeconds * 1_000 }, graceSeconds };
}

/** The files of the placement's secret. @throws AppError `secret-unavailable` for a key that cannot be read; never with what is in it */
export async function agentFiles(spec: PlacementSpec, config: AgentConfig): Promise<Record<string, string>> {
  const files = { "agent.json": JSON.stringify(config) };
  const { storage } = spec.agent;
  if (!storage) return files;
  const { file } = storage.control;
  try {
    return { ...files, "control.json": await readFile(file, "utf8") };
  } catch (error) {
    throw new AppError("secret-unavailable", `cannot read ${file}: ${reasonOf(error)}`);
  }
}
