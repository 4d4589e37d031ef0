import { readFile } from "node:fs/promises";
import {
  type AgentConfig,
  AppError,
  type ContainerManifest,
  agentConfigSchema,
  agentPortInContainer,
  parseAs,
} from "@baton/protocol";
import type { PlacementSpec } from "../cluster.port.ts";
import { reasonOf } from "../deadline.ts";
import type { ContainerUser } from "./images.ts";
import { type TarEntry, writeTar } from "./tar.ts";

export const stateDirectory = "/var/lib/baton";
const agentFile = "opt/baton/baton-agent.cjs";
const configFile = "etc/baton/agent.json";
const controlFile = "etc/baton/control.json";

/** The agent's configuration in a container; `slot` is null where only the rest matters. @throws AppError `invalid-request` */
export function agentConfigOf(
  spec: PlacementSpec,
  container: ContainerManifest,
  slot: string | null,
): AgentConfig {
  const { storage } = spec.agent;
  const config = {
    ...spec.agent,
    ...(storage && { storage: { ...storage, control: { file: `/${controlFile}` } } }),
    version: 1,
    placement: spec.placement,
    stateDirectory,
    listen: { host: "0.0.0.0", port: agentPortInContainer },
    applicationPort: container.port,
    slot,
  };
  return parseAs(agentConfigSchema, config, `the spec of placement ${spec.placement}`);
}

/** How the container executes its agent. */
export const agentCommandOf = ({ agent }: ContainerManifest): readonly string[] => [
  ...(agent ?? ["node", `/${agentFile}`]),
  "run",
  "--config",
  `/${configFile}`,
];

/**
 * What the agent needs to find in its container: its configuration, the key for the control prefix, and itself where the image has none. Only files,
 * since what stands in a container's environment or labels is shown to everybody who may look at it.
 *
 * @throws AppError `secret-unavailable` for a key that cannot be read; never with what is in it
 */
export async function agentFiles(
  spec: PlacementSpec,
  container: ContainerManifest,
  params: { readonly slot: string; readonly agent: Buffer | null; readonly owner: ContainerUser },
): Promise<Buffer> {
  const { owner } = params;
  const config = Buffer.from(JSON.stringify(agentConfigOf(spec, container, params.slot)));
  const entries: TarEntry[] = [
    { name: "etc/baton/", mode: 0o755, uid: 0, gid: 0 },
    { name: configFile, content: config, mode: 0o400, ...owner },
  ];
  const { storage } = spec.agent;
  if (storage) {
    const content = await readSecret(storage.control.file);
    entries.push({ name: controlFile, content, mode: 0o400, ...owner });
  }
  if (params.agent !== null)
    entries.push(
      { name: "opt/baton/", mode: 0o755, uid: 0, gid: 0 },
      { name: agentFile, content: params.agent, mode: 0o555, uid: 0, gid: 0 },
    );
  return writeTar(entries);
}

/** Makes the volume's root the user's own, since an engine may give it to root. */
export const stateOwner = (owner: ContainerUser): Buffer => writeTar([{ name: "./", mode: 0o700, ...owner }]);

async function readSecret(file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (error) {
    throw new AppError("secret-unavailable", `cannot read ${file}: ${reasonOf(error)}`);
  }
}
