import { lstat, mkdir, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { type AgentConfig, AppError, newNonce, parseAs, placementIdSchema } from "@baton/protocol";
import { accepts, agentConfigSchema } from "@baton/protocol";
import { hasCode } from "../deadline.ts";
import { readJson, syncDirectory, writeNewJson } from "./durable-file.ts";

/** Where the parts of one placement are. */
export interface PlacementPaths {
  readonly root: string;
  readonly config: string;
  readonly stateDirectory: string;
  readonly endpoint: string;
  readonly spawn: string;
  readonly log: string;
  /** Where the placement goes when it is removed. */
  readonly removed: string;
}

export const placementsIn = (directory: string): string => join(directory, "placements");
export const removedIn = (directory: string): string => join(directory, "removed");

/** @throws AppError `invalid-request` for anything but a placement's id, since it becomes a path */
export function placementPaths(directory: string, placement: string): PlacementPaths {
  parseAs(placementIdSchema, placement, "the placement's id");
  const root = join(placementsIn(directory), placement);
  const stateDirectory = join(root, "state");
  return {
    root,
    config: join(root, "agent.json"),
    stateDirectory,
    endpoint: join(stateDirectory, "endpoint.json"),
    spawn: join(root, "spawn.json"),
    log: join(root, "logs", "agent.log"),
    removed: join(removedIn(directory), placement),
  };
}

/**
 * Ids of the placements in service.
 * @throws AppError `cluster-unavailable` when the folder is missing: a disk that is not mounted must not pass for an empty cluster
 */
export async function listPlacements(directory: string): Promise<readonly string[]> {
  try {
    const names = await readdir(placementsIn(directory));
    return names.filter((name) => accepts(placementIdSchema, name)).toSorted();
  } catch (error) {
    if (!hasCode(error, "ENOENT")) throw error;
    const detail = `cannot list the placements in ${directory}: the folder is missing; mount it, or check the cluster once to make it`;
    throw new AppError("cluster-unavailable", detail, { cause: error });
  }
}

/** The agent's configuration, or null when the placement is certainly not in service. */
export async function readConfig(directory: string, placement: string): Promise<AgentConfig | null> {
  const paths = placementPaths(directory, placement);
  const content = await readJson(paths.config);
  if (content !== undefined)
    return parseAs(
      agentConfigSchema,
      content,
      `the configuration of placement ${placement}`,
      "cluster-unavailable",
    );
  if (!(await listPlacements(directory)).includes(placement)) return null;
  const detail = `cannot read the configuration of placement ${placement}: it is missing from ${paths.root}; restore it`;
  throw new AppError("cluster-unavailable", detail);
}

/** Makes the placement appear at once or not at all; false when somebody else made it first. */
export async function createPlacement(paths: PlacementPaths, config: AgentConfig): Promise<boolean> {
  const making = `${paths.root}.new-${newNonce()}`;
  try {
    await mkdir(join(making, "state"), { recursive: true, mode: 0o700 });
    await mkdir(join(making, "logs"), { mode: 0o700 });
    await writeNewJson(join(making, "agent.json"), config);
    await syncDirectory(making);
    await rename(making, paths.root);
  } catch (error) {
    await rm(making, { recursive: true, force: true });
    if (hasCode(error, "ENOTEMPTY", "EEXIST")) return false;
    throw error;
  }
  await syncDirectory(join(paths.root, ".."));
  return true;
}

/** Takes the placement out of service, its logs and receipts kept. What an interrupted removal left is finished. */
export async function setAside(directory: string, placement: string): Promise<void> {
  const paths = placementPaths(directory, placement);
  await mkdir(removedIn(directory), { recursive: true, mode: 0o700 });
  try {
    await rename(paths.root, paths.removed);
    await syncDirectory(placementsIn(directory));
    await syncDirectory(removedIn(directory));
  } catch (error) {
    if (!hasCode(error, "ENOENT")) throw error;
  }
  // The private key can sign no further receipts.
  await rm(join(paths.removed, "state", "key.json"), { force: true });
  for (const name of await readdir(placementsIn(directory))) {
    if (name.startsWith(`${placement}.new-`))
      await rm(join(placementsIn(directory), name), { recursive: true, force: true });
  }
}

export async function isRemoved(paths: PlacementPaths): Promise<boolean> {
  try {
    await lstat(paths.removed);
    return true;
  } catch (error) {
    if (hasCode(error, "ENOENT")) return false;
    throw error;
  }
}
