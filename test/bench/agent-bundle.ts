/** The delivered agent, for figures: one file, as it is baked into images. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const build = fileURLToPath(new URL("../gate/bundle-agent.ts", import.meta.url));

/** Builds the bundle into a directory that is removed at the end. */
export async function withBundle<T>(
  use: (place: { readonly bundle: string; readonly directory: string }) => Promise<T>,
): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), "baton-bench-"));
  try {
    const bundle = join(directory, "baton-agent.cjs");
    await promisify(execFile)(process.execPath, [build, bundle], { timeout: 60_000 });
    return await use({ bundle, directory });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

const endMs = 20_000;

export const fixture = (name: string): string => fileURLToPath(new URL(`fixtures/${name}`, import.meta.url));

export interface Started {
  readonly child: ChildProcess;
  readonly pid: number;
  /** Just before the spawn, in epoch ms with fractions. */
  readonly at: number;
  readonly output: () => string;
}

export const now = (): number => performance.timeOrigin + performance.now();

export function start(command: readonly string[]): Started {
  const [file = "", ...args] = command;
  const at = now();
  const child = spawn(file, args, { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
  if (child.pid === undefined) throw new Error(`cannot measure: ${file} cannot be executed`);
  return { child, pid: child.pid, at, output: () => output };
}

/** Asks it to end, which an agent does with its application; kills what stays. */
export async function end({ child }: Started): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  await Promise.race([exited, delay(endMs, undefined, { ref: false })]);
  if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
  await exited;
}

/** Asks again every `pauseMs` until there is an answer. @throws after 60 s */
export async function until<T>(what: string, ask: () => Promise<T | null>, pauseMs = 2): Promise<T> {
  for (const endAt = performance.now() + 60_000; performance.now() < endAt; await delay(pauseMs)) {
    const answer = await ask();
    if (answer !== null) return answer;
  }
  throw new Error(`cannot measure: it took longer than a minute until ${what}`);
}

export const printed = (started: Started, words: string): Promise<true> =>
  until(`"${words}" was printed`, async () => started.output().includes(words) || null);

/** The agent has loaded everything, and has nothing to do. */
export async function settled(stateDirectory: string): Promise<void> {
  const file = join(stateDirectory, "endpoint.json");
  await until("the agent listens", () => readFile(file, "utf8").catch(() => null));
  await delay(250);
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** Of a file in /proc/PID: "Rss:   123 kB" gives 123000. */
export async function procBytes(
  pid: number,
  file: "smaps_rollup" | "status",
  field: string,
): Promise<number> {
  const text = await readFile(`/proc/${pid}/${file}`, "utf8");
  const [, kilobytes] = new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(text) ?? [];
  if (kilobytes === undefined) throw new Error(`cannot measure: /proc/${pid}/${file} has no ${field}`);
  return Number(kilobytes) * 1_024;
}

/** CPU time of a process so far, in ms, by the clock ticks of /proc (10 ms). */
export async function cpuMs(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}
