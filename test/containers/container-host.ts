/** An independent Podman host of test/beds/containers, reached by its Docker-compatible API. */
import { randomBytes } from "node:crypto";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { Agent, request } from "undici";
import { type Found, runBed } from "./podman.ts";

export interface ContainerHost {
  readonly name: string;
  /** For a cluster's "api". */
  readonly api: string;
  /** Where published ports answer. */
  readonly address: string;
  /** This machine, as the host's containers reach it. */
  readonly outside: string;
  podman(args: readonly string[]): Promise<string>;
  /** Of its API: the answer's JSON, or null for none. @throws for a status that is no success */
  ask(method: "GET" | "POST" | "DELETE", path: string, body?: unknown): Promise<unknown>;
  /** A power cut and a boot. */
  reboot(): Promise<void>;
  down(): Promise<void>;
}

/** Starts a host of a name of its own, with this image of `containers env`. */
export async function startHost(
  found: Extract<Found, { readonly missing: null }>,
  image: string,
  directory: string,
): Promise<ContainerHost> {
  const name = `t${randomBytes(4).toString("hex")}`;
  const socketPath = await runBed(["containers", "api", name], 60_000);
  const address = await runBed(["containers", "address", name], 10_000);
  const ask = async (method: "GET" | "POST" | "DELETE", path: string, body?: unknown): Promise<unknown> => {
    const dispatcher = new Agent({ connect: { socketPath }, pipelining: 0 });
    try {
      const isArchive = Buffer.isBuffer(body);
      const answer = await request(`http://engine/v1.41${path}`, {
        method,
        dispatcher,
        headers: { "content-type": isArchive ? "application/x-tar" : "application/json" },
        body: body === undefined ? null : isArchive ? body : JSON.stringify(body),
      });
      const text = await answer.body.text();
      if (answer.statusCode > 299) throw new Error(`${method} ${path}: ${answer.statusCode} ${text}`);
      return text === "" ? null : (JSON.parse(text.trim().split("\n").at(-1) ?? "") as unknown);
    } finally {
      await dispatcher.destroy();
    }
  };
  const host: ContainerHost = {
    name,
    api: `unix://${socketPath}`,
    address,
    outside: address.replace(/\d+$/, "1"),
    podman: (args) => runBed(["containers", "enter", name, "podman", ...args], 60_000),
    ask,
    async reboot() {
      await runBed(["containers", "down", "--keep", name], 60_000);
      await runBed(["containers", "api", name], 60_000);
    },
    async down() {
      await runBed(["containers", "down", name], 60_000);
    },
  };
  try {
    const archive = join(directory, `${name}.tar`);
    await found.podman.read(["save", "--quiet", "--output", archive, image], { timeoutMs: 120_000 });
    await ask("POST", "/images/load?quiet=true", await readFile(archive));
    await rm(archive);
    return host;
  } catch (error) {
    await host.down();
    throw error;
  }
}
