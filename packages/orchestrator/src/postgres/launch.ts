import { spawn } from "node:child_process";
import { open, rename, stat } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import type { DatabaseFiles } from "./data-directory.ts";
import { findProcess } from "./process-identity.ts";
import type { ProcessIdentity } from "./process-identity.ts";
import { spawnIdentity } from "./run-tool.ts";
import type { RunAs } from "./run-tool.ts";

const largeLogBytes = 10 * 1024 * 1024;

/** A postmaster that is our child. */
export interface Launched {
  /** `undefined` when it has ended already. */
  readonly process: ProcessIdentity | undefined;
  readonly port: number;
  /** Fulfilled with how it ended, e.g. "exit code 1"; never rejected. */
  readonly ended: Promise<string>;
  /** The last lines it wrote to the log since it was launched. */
  lastLines(): Promise<string>;
}

/**
 * Starts a postmaster on a port that was free a moment ago. It gets a session of its own: a Ctrl-C in the
 * terminal is for us, who stop it in order, and if we are killed it lives on and is attached to next time.
 */
export async function launchPostmaster(
  files: DatabaseFiles,
  postgres: string,
  runAs: RunAs | undefined,
): Promise<Launched> {
  const port = await freePort();
  if (((await stat(files.log).catch(() => undefined))?.size ?? 0) > largeLogBytes) {
    await rename(files.log, `${files.log}.1`);
  }
  const log = await open(files.log, "a", 0o600);
  const logStart = (await log.stat()).size;
  const settings = {
    port,
    listen_addresses: "127.0.0.1",
    unix_socket_directories: "",
    max_connections: 60,
    shared_buffers: "32MB",
    fsync: "on",
    timezone: "UTC",
    log_timezone: "UTC",
    logging_collector: "off",
  };
  const args = [
    "-D",
    files.data,
    ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
  ];
  const stdio = ["ignore", log.fd, log.fd] as const;
  const child = spawn(postgres, args, { ...spawnIdentity(runAs), detached: true, stdio: [...stdio] });
  child.unref();
  const ended = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, signal) => resolve(signal ? `signal ${signal}` : `exit code ${code}`));
  });
  await log.close();
  const process = child.pid === undefined ? undefined : await findProcess(child.pid);
  return { process, port, ended, lastLines: () => lastLines(files.log, logStart) };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function lastLines(path: string, start: number): Promise<string> {
  const log = await open(path, "r");
  try {
    const { size } = await log.stat();
    const from = Math.max(start, size - 4096);
    const { buffer, bytesRead } = await log.read(Buffer.alloc(4096), 0, 4096, from);
    return buffer.toString("utf8", 0, bytesRead).trim().split("\n").slice(-8).join("\n");
  } finally {
    await log.close();
  }
}
