/** What programs leave behind, read from /proc and not from what they say of themselves. */
import { readFile, readdir, readlink } from "node:fs/promises";
import { type ProcessIdentity, identify, isAlive, readStat } from "@baton/process-tree";

/** What belonged to a directory at one moment. */
export interface Belongings {
  readonly processes: readonly ProcessIdentity[];
  readonly ports: readonly number[];
}

/** Every process whose command, environment or working directory names `directory`, with all their descendants, and the ports they listen on. */
export async function belongingsOf(directory: string): Promise<Belongings> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  const marked = new Set<number>();
  const ports = new Set<number>();
  for (const pid of pids) {
    const [command, environment, cwd] = await Promise.all([
      readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => ""),
      readFile(`/proc/${pid}/environ`, "utf8").catch(() => ""),
      readlink(`/proc/${pid}/cwd`).catch(() => ""),
    ]);
    if (![command, environment, cwd].some((text) => text.includes(directory))) continue;
    marked.add(pid);
    // The database runs as another user, whose sockets may be hidden even from root in a container.
    const named = /\0port=(\d+)\0/.exec(command)?.[1];
    if (named !== undefined) ports.add(Number(named));
  }
  const parents = await Promise.all(
    pids.map(async (pid) => [pid, (await readStat(pid))?.ppid ?? 0] as const),
  );
  for (let before = -1; before !== marked.size;) {
    before = marked.size;
    for (const [pid, parent] of parents) if (marked.has(parent)) marked.add(pid);
  }
  const listening = await listeningPorts();
  for (const pid of marked)
    for (const inode of await socketsOf(pid)) {
      const port = listening.get(inode);
      if (port !== undefined) ports.add(port);
    }
  const identities = await Promise.all([...marked].map(identify));
  return { processes: identities.filter((one) => one !== null), ports: [...ports] };
}

/** Those of `earlier` that are still there, and whatever belongs to the directory now. In words, empty when nothing is left. */
export async function leftBehind(directory: string, earlier: Belongings): Promise<readonly string[]> {
  const now = await belongingsOf(directory);
  const listening = new Set((await listeningPorts()).values());
  const processes = new Map(
    [...earlier.processes, ...now.processes].map((one) => [`${one.pid}:${one.startTime}`, one]),
  );
  const left: string[] = [];
  for (const one of processes.values()) {
    if (!(await isAlive(one))) continue;
    const command = await readFile(`/proc/${one.pid}/cmdline`, "utf8").catch(() => "");
    left.push(`process ${one.pid}: ${command.replaceAll("\0", " ")}`);
  }
  for (const port of new Set([...earlier.ports, ...now.ports]))
    if (listening.has(port)) left.push(`port ${port}`);
  for (const name of await readdir(directory))
    // Node's own, for whoever asks it to keep compiled code.
    if (name !== "node-compile-cache") left.push(`file ${name}`);
  return left;
}

async function socketsOf(pid: number): Promise<readonly string[]> {
  const descriptors = await readdir(`/proc/${pid}/fd`).catch(() => []);
  const targets = await Promise.all(
    descriptors.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => "")),
  );
  return targets.flatMap((target) => /^socket:\[(\d+)\]$/.exec(target)?.[1] ?? []);
}

/** Socket inode to port, of every socket in state LISTEN (0A); proc_net_tcp(5). */
async function listeningPorts(): Promise<ReadonlyMap<string, number>> {
  const tables = await Promise.all(
    ["tcp", "tcp6"].map((name) => readFile(`/proc/net/${name}`, "utf8").catch(() => "")),
  );
  const rows = tables.flatMap((table) => table.split("\n").slice(1)).map((row) => row.trim().split(/\s+/));
  return new Map(
    rows.flatMap(([, address = "", , state, , , , , , inode = ""]) =>
      state === "0A" ? [[inode, parseInt(address.split(":")[1] ?? "", 16)] as const] : [],
    ),
  );
}
