import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { readStat, visitProcesses } from "@baton/process-tree";
import { AppError } from "@baton/protocol";
import { readIfPresent } from "../durable-file.ts";
import { readLocalArguments } from "./local-arguments.ts";

/**
 * Prints what a platform that may execute a command here needs to know, as JSON: the lock and the endpoint that the last agent wrote, each null where it is
 * not there or not whole, and every process of this PID namespace. It asks no agent, since one that hangs would not answer.
 */
export async function look(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): Promise<void> {
  const { stateDirectory } = readLocalArguments(args, environment, {}, "look takes nothing else");
  const [lock, endpoint] = [
    await readJson(stateDirectory, "lock"),
    await readJson(stateDirectory, "endpoint.json"),
  ];
  process.stdout.write(`${JSON.stringify({ lock, endpoint, processes: await listProcesses() })}\n`);
}

async function readJson(directory: string, name: string): Promise<unknown> {
  const content = await readIfPresent(join(directory, name));
  try {
    return content === null ? null : (JSON.parse(content) as unknown);
  } catch {
    return null;
  }
}

async function listProcesses() {
  const seen: { readonly pid: number; readonly parent: number; readonly comm: string }[] = [];
  const isWhole = await visitProcesses(({ pid, ppid, comm }) => seen.push({ pid, parent: ppid, comm }) > 0);
  if (!isWhole)
    throw new AppError("agent-failed", "cannot list the processes: they come and go too fast; look again");
  const processes = [];
  for (const { comm, ...each } of seen) {
    const line = await readFile(`/proc/${each.pid}/cmdline`, "utf8").catch(() => null);
    // Whoever ended meanwhile is none; one that lives and cannot be read is one all the same.
    if (line === null && (await readStat(each.pid)) === null) continue;
    const words = (line ?? "").replace(/\0$/, "").replaceAll("\0", " ");
    processes.push({ ...each, command: words === "" ? comm : words });
  }
  return processes;
}
