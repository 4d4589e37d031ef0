import { identify, isAlive } from "@baton/process-tree";
import type { Podman } from "./podman.ts";

const key = "baton.test-run";
/** A line of `podman ps`: an id, then a map of labels. */
const pattern = /^(\w+) .*\bbaton\.test-run:(\d+):(\d+):([\w-]+)/;

/** A label for `podman run` that names this test process. */
export async function runLabel(): Promise<string> {
  const self = await identify(process.pid);
  if (self === null) throw new Error("cannot find this process in /proc");
  return `${key}=${self.pid}:${self.startTime}:${self.bootId}`;
}

/** Removes the containers and pods of test processes that died before they could. */
export async function removeLeftContainers(podman: Podman): Promise<void> {
  // Pods first: a container of theirs bears their label, and can only go with them.
  await removeLeft(podman, ["pod"], ["ps", "--format", "{{.Id}} {{.Labels}}"]);
  await removeLeft(podman, ["container"], ["ps", "--all", "--format", "{{.ID}} {{.Labels}}"]);
}

async function removeLeft(podman: Podman, kind: readonly string[], list: readonly string[]): Promise<void> {
  const lines = await podman.read([...kind, ...list, "--filter", `label=${key}`]);
  for (const line of lines.split("\n").filter(Boolean)) {
    const [, id = "", pid, startTime = "", bootId = ""] = pattern.exec(line) ?? [];
    // Not ours to judge when it cannot be read.
    if (pid === undefined || (await isAlive({ pid: Number(pid), startTime, bootId }))) continue;
    await podman.read([...kind, "rm", "--force", "--ignore", "--time", "0", id]);
  }
}
