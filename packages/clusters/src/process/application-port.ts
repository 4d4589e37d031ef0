import { randomInt } from "node:crypto";
import { createServer } from "node:net";
import { AppError } from "@baton/protocol";
import { hasCode } from "../deadline.ts";
import { listPlacements, readConfig } from "./placement-directory.ts";

/** Below the kernel's ephemeral range (32768), so that no outgoing connection takes the port while its placement is held. */
const firstPort = 20_000;
const portCount = 12_000;

/**
 * A port for the application of a new placement: free now, and promised to no other placement of this cluster. Two calls
 * at the same moment get the same one by a chance of 1 in 12000; the later application then cannot listen and says so.
 */
export async function chooseApplicationPort(directory: string): Promise<number> {
  const taken = new Set<number>();
  for (const placement of await listPlacements(directory)) {
    const config = await readConfig(directory, placement);
    const port = config?.applicationPort ?? null;
    if (port !== null) taken.add(port);
  }
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const port = firstPort + randomInt(portCount);
    if (!taken.has(port) && (await canListen(port))) return port;
  }
  const detail = `cannot find a port for the application in ${directory}: 200 ports between ${firstPort} and ${firstPort + portCount - 1} are taken`;
  throw new AppError("cluster-unavailable", detail);
}

async function canListen(port: number): Promise<boolean> {
  const server = createServer();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject).listen({ port, host: "127.0.0.1", exclusive: true }, resolve);
  try {
    await promise;
  } catch (error) {
    if (hasCode(error, "EADDRINUSE", "EACCES")) return false;
    throw error;
  }
  await new Promise((closed) => server.close(closed));
  return true;
}
