/** The podman of test/beds/containers, by its command line. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";

const beds = join(import.meta.dirname, "../beds");

export interface Execution {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface PodmanOptions {
  /** Then it is killed, and the call throws. */
  readonly timeoutMs?: number;
}

export interface Podman {
  /** Any end. @throws when it cannot be started or is late */
  execute(args: readonly string[], options?: PodmanOptions): Promise<Execution>;
  /** Standard output without its last line break. @throws with what podman said when it fails or is late */
  read(args: readonly string[], options?: PodmanOptions): Promise<string>;
  /** For programs that run podman themselves. */
  readonly environment: Readonly<Record<string, string>>;
}

/** A base image and the podman that has it, or why they cannot be had on this machine. */
export type Found =
  | {
      readonly missing: null;
      readonly podman: Podman;
      readonly nodeImage: string;
      readonly debianImage: string;
    }
  | { readonly missing: string };

/** The first call on a machine makes the base images, which takes a minute; never throws. */
export async function findPodman(): Promise<Found> {
  if (process.getuid?.() !== 0) return { missing: "the tests run as an ordinary user" };
  try {
    const settings = await runBed(["containers", "env"], 30_000);
    const debianImage = await runBed(["base-image", "debian"], 600_000);
    const nodeImage = await runBed(["base-image", "node"], 600_000);
    return { missing: null, podman: openPodman(parseExports(settings)), nodeImage, debianImage };
  } catch (error) {
    return { missing: error instanceof Error ? error.message : String(error) };
  }
}

export async function runBed([script = "", ...args]: readonly string[], timeoutMs: number): Promise<string> {
  const env = { ...process.env, TESTBED_NODE: process.execPath };
  const { status, stdout, stderr } = await execute(join(beds, script), args, { env, timeoutMs });
  if (status !== 0) throw new Error(stderr.trimEnd().split("\n").at(-1) ?? `${script} ended with ${status}`);
  return stdout.trimEnd();
}

function openPodman(settings: Readonly<Record<string, string>>): Podman {
  const environment = { PATH: process.env["PATH"] ?? "", HOME: process.env["HOME"] ?? "/root", ...settings };
  const podman: Podman = {
    environment,
    execute: (args, options = {}) => execute("podman", args, { env: environment, ...options }),
    async read(args, options) {
      const { status, stdout, stderr } = await podman.execute(args, options);
      if (status !== 0) throw new Error(`podman ${args.join(" ")} ended with ${status}: ${stderr.trim()}`);
      return stdout.trimEnd();
    },
  };
  return podman;
}

async function execute(
  program: string,
  args: readonly string[],
  options: PodmanOptions & { readonly env: NodeJS.ProcessEnv },
): Promise<Execution> {
  const { env, timeoutMs = 60_000 } = options;
  const stdio: ["ignore", "pipe", "pipe"] = ["ignore", "pipe", "pipe"];
  const child = spawn(program, args, { env, stdio, timeout: timeoutMs, killSignal: "SIGKILL" });
  const [stdout, stderr, [status]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "exit"),
  ]);
  if (typeof status !== "number")
    throw new Error(
      `${program} ${args.join(" ")} was killed, after ${timeoutMs} ms at the latest: ${stderr.trim()}`,
    );
  return { status, stdout, stderr };
}

/** Of lines like `export NAME=value`. */
function parseExports(lines: string): Record<string, string> {
  return Object.fromEntries(
    [...lines.matchAll(/^export (\w+)=(.*)$/gm)].map(([, name, value]) => [name, value]),
  );
}
