import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { type PrivateKey, createKeyPair, newNonce, newOperationId } from "@baton/protocol";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startDeadEnd, until } from "./fixtures/dead-end.ts";
import { startKrakeService } from "./fixtures/krake-service-process.ts";
import { startStoppableAgent } from "./fixtures/stoppable-agent.ts";

// What the README shows is a program that works as it stands.

const root = join(import.meta.dirname, "..");
const readme = await readFile(join(root, "README.md"), "utf8");
const [agentExample = "", krakeExample = ""] = [...readme.matchAll(/```js\n(.*?)```/gs)].map(
  ([, code]) => code,
);

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "baton-readme-"));
});
afterEach(() => rm(directory, { recursive: true }));

/** Runs a block as a module of this package, so that it imports the package by its name. */
const run = async (code: string, environment: Readonly<Record<string, string>>) => {
  const child = spawn(process.execPath, ["--input-type=module", "--eval", code], {
    cwd: root,
    env: { PATH: process.env["PATH"] ?? "", ...environment },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 15_000,
  });
  const exit = new Promise<number | null>((resolve) => child.once("exit", resolve));
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { code: await exit, stdout: stdout.trim(), stderr: stderr.trim() };
};

describe("the README's example", () => {
  const stop = async (agent: Awaited<ReturnType<typeof startStoppableAgent>>, signingKey: PrivateKey) => {
    const { url, placement, publicKey } = agent;
    const AGENT_ENDPOINT = join(directory, "endpoint.json");
    const SIGNING_KEY = join(directory, "command-key.json");
    await writeFile(AGENT_ENDPOINT, JSON.stringify({ url, placement, publicKey }));
    await writeFile(SIGNING_KEY, JSON.stringify(signingKey));
    return run(agentExample, { AGENT_ENDPOINT, SIGNING_KEY, OPERATION: newOperationId() });
  };

  it("has fifteen lines at most", () => {
    expect(agentExample.trim().split("\n").length).toBeLessThanOrEqual(15);
  });

  it("stops an application and shows the receipt, then ends", async () => {
    const agent = await startStoppableAgent();
    const { code, stdout, stderr } = await stop(agent, agent.commandKeys.privateKey);
    await agent.end();
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/^graceful proven eyJ/);
    expect(agent.ended).toHaveLength(1);
  });

  it("says in one line why it could not, and exits with 1", async () => {
    const agent = await startStoppableAgent();
    const { code, stdout, stderr } = await stop(agent, (await createKeyPair()).privateKey);
    await agent.end();
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(/^unauthenticated: cannot accept the command: .+$/);
    expect(agent.ended).toEqual([]);
  });

  it("stops a service that knows Krake's hook only", async () => {
    const free = await startDeadEnd();
    await free.close();
    const TOKEN = newNonce();
    const path = "kubernetes/namespaces/default/applications/demo/shutdown";
    const service = await startKrakeService({
      KRAKE_SHUTDOWN_URL: `http://127.0.0.1:${free.port}/${path}`,
      KRAKE_SHUTDOWN_TOKEN: TOKEN,
    });
    const { code, stdout, stderr } = await run(krakeExample, {
      TOKEN,
      SERVICE: service.url,
      OPERATION: newOperationId(),
      CONFIRM_PORT: String(free.port),
    });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/^claimed token \d{4}-/);
    await until(() => service.confirmations().at(-1) === "200 READY_FOR_ACTION");
    await service.end();
  });
});
