/* Rule 13: the key to the data comes with the grant; before it a placement has nothing of it, and an application never gets its agent's keys. */
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { application, clusters, openHarbour, runOperation } from "@baton/example-ledger/demo";
import { type AgentConfigInput, accessKeySchema, agentEndpointSchema, parseAs } from "@baton/protocol";
import { expect, it, onTestFinished } from "vitest";

/** Of every file below it, by its path. */
async function filesBelow(directory: string): Promise<ReadonlyMap<string, string>> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return new Map(await Promise.all(files.map(async (file) => [file, await readFile(file, "utf8")] as const)));
}

const processFile = (pid: number, name: "environ" | "cmdline"): Promise<string> =>
  readFile(`/proc/${pid}/${name}`, "utf8");

/** What was executed for a placement: its agent's settings are in no environment. */
async function processesOf(placement: string): Promise<readonly number[]> {
  const pids = (await readdir("/proc")).map(Number).filter((pid) => pid > 0);
  const isOf = async (pid: number): Promise<boolean> =>
    (await processFile(pid, "environ").catch(() => "")).includes(`BATON_PLACEMENT=${placement}\0`);
  const found = await Promise.all(pids.map(async (pid) => ((await isOf(pid)) ? [pid] : [])));
  return found.flat();
}

it("gives a placement its data key with the grant only, and the application none of its agent's keys", async () => {
  const harbour = await openHarbour({ fault: "fail@migrate.handOver:before" });
  onTestFinished(() => harbour.close());
  const { client, directory, keys } = harbour;
  const [from, to] = clusters;
  expect((await runOperation(client, { kind: "deploy", application, to: from })).state).toBe("committed");
  const { placement } = await client.route(application);
  const root = join(directory, from, "placements", placement ?? "");
  const endpoint = await readFile(join(root, "state", "endpoint.json"), "utf8");
  const { pid } = parseAs(agentEndpointSchema, JSON.parse(endpoint), "the endpoint");

  // The agent's environment and arguments are those that it was executed with, long before the grant.
  const ofAgent = await filesBelow(root);
  const agent = [...ofAgent.values(), await processFile(pid, "environ"), await processFile(pid, "cmdline")];
  expect([...ofAgent.keys()]).toContain(join(root, "agent.json"));
  expect(agent.filter((text) => text.includes(keys[from].secretAccessKey))).toEqual([]);

  const { d: privateKey } = JSON.parse(ofAgent.get(join(root, "state", "key.json")) ?? "") as { d?: string };
  expect(privateKey).toMatch(/^[\w-]{43}$/);
  // The agent's own way to the lease.
  const { storage } = JSON.parse(ofAgent.get(join(root, "agent.json")) ?? "") as AgentConfigInput;
  const controlFile = storage?.control.file ?? "";
  const control = parseAs(
    accessKeySchema,
    JSON.parse(await readFile(controlFile, "utf8")),
    "the control key",
  );
  const running = await processesOf(placement ?? "");
  expect(running).not.toEqual([]);
  for (const each of running) {
    const [environment, argv] = [await processFile(each, "environ"), await processFile(each, "cmdline")];
    expect(environment).toContain(keys[from].secretAccessKey);
    expect(argv).not.toContain(keys[from].secretAccessKey);
    for (const own of [control.secretAccessKey, control.accessKeyId, privateKey ?? ""])
      expect(`${environment}${argv}`).not.toContain(own);
  }

  // A target that was placed and held, and never granted.
  const operation = await runOperation(client, { kind: "migrate", application, to });
  expect(operation.state).toBe("rolled-back");
  const held = await filesBelow(join(directory, to));
  expect(
    [...held.keys()].some(
      (file) => file.includes(operation.target ?? "nowhere") && file.endsWith("agent.json"),
    ),
  ).toBe(true);
  for (const secret of [keys[to].secretAccessKey, keys[to].accessKeyId])
    expect([...held].filter(([, text]) => text.includes(secret)).map(([file]) => file)).toEqual([]);
}, 180_000);
