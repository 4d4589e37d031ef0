/* P1 where a platform brings back what was stopped, passed on, or is there already: cases of docs/fault-cases.md, by number. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Run, agentStatusSchema, bodySha256, newNonce, newPlacementId, parseAs } from "@baton/protocol";
import { changeLease } from "@baton/storage";
import { afterEach, describe, expect, it } from "vitest";
import { type Agent, startAgent } from "./agent.ts";
import { type Bed, createBed, freePort, until } from "./fixtures/agent-bed.ts";

let bed: Bed;
const revived: Agent[] = [];
afterEach(async () => {
  for (const agent of revived.splice(0)) await agent.close();
  await bed.end();
});

/** The lease goes on to another placement, as a handover leaves it. */
async function passOn(from: { run: Run; epoch: number }): Promise<{ grant: string; epoch: number }> {
  const { owner, prefix } = bed.config.storage ?? { owner: "", prefix: "" };
  const grant = newNonce();
  const change = {
    kind: "grant",
    owner,
    from: { ...from, holder: bed.config.placement },
    holder: newPlacementId(),
    grant,
    operation: bed.operation,
  } as const;
  const { lease } = await changeLease({ store: bed.store, prefix, change, deadlineMs: 1_000 });
  return { grant, epoch: lease.epoch };
}

/** Another pod of the same manifest: the same placement and configuration, nothing on its disk. It would start by itself if it might. */
async function revive() {
  const stateDirectory = join(bed.config.stateDirectory, "..", `pod-${revived.length + 2}`);
  const slot = `pod-${revived.length + 2}/app`;
  const applicationPort = await freePort();
  const config = { ...bed.config, stateDirectory, slot, applicationPort, start: "immediately" } as const;
  const agent = await startAgent({ config, store: bed.bucket.open(), log: () => undefined });
  revived.push(agent);
  const call = async (path: string, token: string, body?: string): Promise<unknown> => {
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const request = body === undefined ? { headers } : { method: "POST", headers, body };
    return (await fetch(agent.endpoint.url + path, request)).json();
  };
  const read = async (path: string): Promise<unknown> => call(path, await bed.sign({ kind: "read" }, 0));
  return {
    status: async () => parseAs(agentStatusSchema, await read("/v1/status"), "the status"),
    /** What became of a start with this grant. */
    async start({ grant, epoch }: { grant: string; epoch: number }): Promise<unknown> {
      const key = bed.newKey("start");
      const body = JSON.stringify({ environment: {} });
      const about = { kind: "start", key, operation: bed.operation, grant, deadlineMs: 10_000 } as const;
      const command = { ...about, bodySha256: bodySha256(body) };
      await call("/v1/start", await bed.sign(command, epoch), body);
      return read(`/v1/operations/${key}?waitMs=10000`);
    },
    executed: async (): Promise<boolean> =>
      (await readFile(join(stateDirectory, "effects.jsonl"), "utf8").catch(() => "")).includes('"exec"'),
  };
}

const refused = { state: "failed", problem: { code: "grant-refused" } };

describe("a pod that an autoscaler or a GitOps controller brings", () => {
  it("fault case 12: of a source that was passed on is held, and no grant that was ever given starts it", async () => {
    bed = await createBed();
    const { run, epoch, grant } = await bed.run();
    await bed.receipt((await bed.postStop({ run, epoch })).key);
    const next = await passOn({ run, epoch });
    const lease = await bed.lease();
    const pod = await revive();
    expect(await pod.status()).toMatchObject({ state: "held", run: null, ready: false });
    expect(await pod.start({ grant, epoch })).toMatchObject(refused);
    expect(await pod.start(next)).toMatchObject(refused);
    expect(await pod.status()).toMatchObject({ state: "held", ready: false });
    expect(await pod.executed()).toBe(false);
    expect(await bed.lease()).toEqual(lease);
  });

  it("fault case 12: beside a source that serves is held, and the source goes on", async () => {
    bed = await createBed();
    const { run, epoch, grant } = await bed.run();
    const pod = await revive();
    expect(await pod.status()).toMatchObject({ state: "held", run: null });
    expect(await pod.start({ grant, epoch })).toMatchObject(refused);
    expect(await pod.executed()).toBe(false);
    const nonce = (await bed.lease())?.nonce;
    await until("a renewal", async () => (await bed.lease())?.nonce !== nonce);
    expect(await bed.lease()).toMatchObject({ state: "running", run, epoch });
    expect(await bed.status()).toMatchObject({ state: "running", run, lease: { lost: false } });
  });
});

describe("a container that the kubelet starts again in its own slot", () => {
  const inSlot = { slot: "pod-1/app", start: "immediately", afterExit: "exit" } as const;

  it("fault case 13: of a source that was stopped and passed on stays stopped, however often", async () => {
    bed = await createBed({ config: inSlot });
    const { run, epoch } = await bed.run();
    await bed.receipt((await bed.postStop({ run, epoch })).key);
    await passOn({ run, epoch });
    const lease = await bed.lease();
    for (let time = 0; time < 2; time += 1) {
      await bed.agent.close();
      await bed.begin();
      expect(await bed.status()).toMatchObject({ state: "stopped", run, ready: false });
    }
    expect(await bed.effects()).toEqual(["exec", "signal", "receipt"]);
    expect(await bed.lease()).toEqual(lease);
  });

  it("fault case 13: of a source that was fenced and passed on while it was dead is refused by the lease", async () => {
    bed = await createBed({ config: inSlot });
    const { run, epoch } = await bed.run();
    await bed.agent.close();
    for (const { pid } of await bed.processes()) process.kill(pid, "SIGKILL");
    await until("its death", async () => (await bed.processes()).length === 0);
    await bed.fence({ run, epoch });
    await passOn({ run, epoch });
    const lease = await bed.lease();
    await bed.begin();
    // By its own record it might go on in its slot, and it tries to.
    const journal = join(bed.config.stateDirectory, "journal");
    const failed = /\.agent-start\.[^{]*\{[^{]*"progress":\{"state":"failed"/;
    await until("its start to be refused", async () => failed.test(await readFile(journal, "utf8")));
    expect((await bed.status()).ready).toBe(false);
    expect((await bed.effects()).filter((effect) => effect === "exec")).toHaveLength(1);
    expect(await bed.lease()).toEqual(lease);
  });
});
