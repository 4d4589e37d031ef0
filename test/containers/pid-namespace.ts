/** A PID namespace of its own for one command, without an image: the cheap way to be PID 1. Needs root. */
import { type ChildProcess, type StdioOptions, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFile, readdir, readlink } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { type ProcessIdentity, identify, signalProcess } from "@baton/process-tree";
import { until } from "./until.ts";

export interface PidNamespace {
  /** Its output is the command's. */
  readonly child: ChildProcess;
  /** To PID 1, from outside. @throws when it is gone */
  signal(signal: NodeJS.Signals): Promise<void>;
  /**
   * Resolves when PID 1 catches or blocks SIGTERM, has a child, or is gone. Until then, some milliseconds after exec with tini too, the kernel
   * drops one that is sent to PID 1.
   */
  hears(): Promise<void>;
  /** Exit status by shell convention. @throws when it does not end in time */
  ended(limitMs?: number): Promise<number>;
  /** Everything in the namespace: its PIDs outside and inside, its name and its state ("Z" for a zombie). */
  processes(): Promise<readonly NamespaceProcess[]>;
  /** Kills PID 1, and so everything in it. */
  remove(): Promise<void>;
}

export interface NamespaceProcess {
  readonly pid: number;
  readonly innerPid: number;
  readonly name: string;
  readonly state: string;
}

/** Null when PID namespaces can be made here, otherwise why not. */
export function missingPidNamespaces(): string | null {
  if (process.getuid?.() !== 0) return "the tests run as an ordinary user";
  const { error } = spawnSync("tini", ["--version"], { timeout: 10_000 });
  return error === undefined ? null : "no tini on PATH";
}

/** Resolves as soon as PID 1 executes the command, or has ended. */
export async function startPidNamespace(
  command: readonly string[],
  options: { readonly env?: NodeJS.ProcessEnv; readonly stdio?: StdioOptions; readonly cwd?: string } = {},
): Promise<PidNamespace> {
  const unshare = ["--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc", "--", ...command];
  const child = spawn("unshare", unshare, { stdio: ["ignore", "pipe", "pipe"], ...options });
  const exit = once(child, "exit");
  await once(child, "spawn");
  const first = await findFirstProcess(child);
  const signal = async (name: NodeJS.Signals): Promise<void> => {
    if (first === null || (await signalProcess(first.identity, name)) === "gone")
      throw new Error(`cannot send ${name}: PID 1 of the namespace is gone`);
  };
  return {
    child,
    signal,
    async hears() {
      if (first !== null) await until("PID 1 hears SIGTERM", () => hearsTerm(first.identity.pid), 20_000, 1);
    },
    async ended(limitMs = 30_000) {
      const ended = await Promise.race([exit, delay(limitMs, null, { ref: false })]);
      if (ended === null) throw new Error(`PID 1 of the namespace did not end in ${limitMs} ms`);
      const [code, name] = ended as [number | null, NodeJS.Signals | null];
      if (code === null) throw new Error(`the namespace was ended by ${name}`);
      return code;
    },
    processes: async () => (first === null ? [] : listProcesses(first.namespace)),
    async remove() {
      // With PID 1 the kernel ends all the others; when unshare goes first, nobody waits for PID 1.
      if (child.exitCode === null && child.signalCode === null) await signal("SIGKILL").catch(() => {});
      await exit;
    },
  };
}

/** By the masks in /proc/PID/status, in hexadecimal, signal n at bit n - 1. An init that waits for signals shows none: it has a child by then. */
async function hearsTerm(pid: number): Promise<boolean> {
  const read = (name: string): Promise<string> => readFile(`/proc/${pid}/${name}`, "utf8").catch(() => "");
  if ((await read(`task/${pid}/children`)).trim() !== "") return true;
  const masks = [...(await read("status")).matchAll(/^Sig(?:Blk|Cgt):\s+([0-9a-f]+)$/gm)];
  const term = 1n << 14n;
  return masks.length === 0 || masks.some(([, mask]) => (BigInt(`0x${mask}`) & term) !== 0n);
}

interface FirstProcess {
  readonly identity: ProcessIdentity;
  readonly namespace: string;
}

async function findFirstProcess(unshare: ChildProcess): Promise<FirstProcess | null> {
  const { pid = 0 } = unshare;
  for (const endAt = performance.now() + 10_000; ; await delay(1)) {
    const children = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8").catch(() => "");
    const first = Number(children.trim().split(" ").at(0));
    const name = first === 0 ? "" : await readFile(`/proc/${first}/comm`, "utf8").catch(() => "");
    if (name !== "" && name.trim() !== "unshare") {
      const namespace = await readlink(`/proc/${first}/ns/pid`).catch(() => null);
      const identity = await identify(first);
      if (namespace !== null && identity !== null) return { identity, namespace };
    }
    if (unshare.exitCode !== null || unshare.signalCode !== null) return null;
    if (performance.now() > endAt) throw new Error("unshare did not execute the command in 10 s");
  }
}

async function listProcesses(namespace: string): Promise<readonly NamespaceProcess[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    pids.map(async (name): Promise<NamespaceProcess | null> => {
      // What ends meanwhile is not in it any more.
      if ((await readlink(`/proc/${name}/ns/pid`).catch(() => null)) !== namespace) return null;
      const status = await readFile(`/proc/${name}/status`, "utf8").catch(() => "");
      const field = (key: string): string => new RegExp(`^${key}:\\s+(.*)$`, "m").exec(status)?.[1] ?? "";
      const innerPid = Number(field("NSpid").split("\t").at(-1));
      return { pid: Number(name), innerPid, name: field("Name"), state: field("State").slice(0, 1) };
    }),
  );
  return found.filter((process) => process !== null);
}
