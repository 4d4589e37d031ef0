import {
  type AgentStatus,
  AppError,
  type PrivateKey,
  type PublicKey,
  type VerifiedCommand,
  createKeyPair,
  newOperationId,
  newPlacementId,
  toProblem,
  verifyCommand,
} from "@baton/protocol";
import {
  type ObjectStore,
  type RequestView,
  applyRequestWrite,
  planRequest,
  putReceipt,
  readRequest,
} from "@baton/storage";
import { type MemoryBucket, createMemoryBucket } from "@baton/storage/testing";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type BucketChannel, createBucketChannel } from "./bucket-channel.ts";

const prefix = "ledger/";
const placement = newPlacementId();
const operation = newOperationId();
const run = { placement, instance: "a", counter: 1 };
const stop = { kind: "stop", key: `${operation}.stop.1`, operation, run, deadlineMs: 5_000 } as const;
const withdraw = { kind: "withdraw", key: stop.key, operation } as const;
const status: AgentStatus = {
  placement,
  instance: "a",
  agentVersion: "0",
  state: "running",
  epoch: 1,
  run,
  ready: true,
  open: true,
  lease: { reachable: true, lost: false, detail: null },
  waiting: null,
};

let keys: { publicKey: PublicKey; privateKey: PrivateKey };
let bucket: MemoryBucket;
let store: ObjectStore;
let channel: BucketChannel;
const within = (ms: number): AbortSignal => AbortSignal.timeout(ms);
beforeAll(async () => {
  keys = await createKeyPair();
});
beforeEach(() => {
  bucket = createMemoryBucket();
  store = bucket.open();
  const open = async (): Promise<ObjectStore> => store;
  channel = createBucketChannel({ open, prefix, placement, signingKey: keys.privateKey });
});

const mailbox = () => ({ store: bucket.open(), prefix, placement });
const look = async (): Promise<RequestView | null> => readRequest({ ...mailbox(), timeoutMs: 1_000 });
type Content = Parameters<typeof planRequest>[1];
/** The agent's part: once something is asked, answers it. */
async function answer(content: Content): Promise<VerifiedCommand> {
  for (;;) {
    const seen = await look();
    if (seen?.request?.state === "asked") {
      const { token } = seen.request;
      const write = planRequest(seen, content);
      expect(await applyRequestWrite({ ...mailbox(), write, deadlineMs: 1_000 })).toMatchObject({
        kind: "applied",
      });
      return verifyCommand({ key: keys.publicKey, placement, token });
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
const accepted = (of: unknown): Content => ({ state: "accepted", instance: "a", status: of });
const refused = (code: "stale-epoch"): Content => ({
  state: "refused",
  instance: "a",
  problem: toProblem(new AppError(code, "cannot stop: planted")),
});

describe("an agent behind a bucket", () => {
  it("gets the very command that it would get over HTTP, and is heard", async () => {
    const asked = channel.stop(stop, 1, within(5_000));
    expect(await answer(accepted(null))).toMatchObject({ command: stop, epoch: 1 });
    await asked;
    const other = channel.command({ kind: "read" }, 0, within(5_000));
    await answer(accepted(status));
    expect(await other).toEqual(status);
  });

  it("says why it refuses", async () => {
    const asked = channel.stop(stop, 1, within(5_000));
    await answer(refused("stale-epoch"));
    await expect(asked).rejects.toMatchObject({ code: "stale-epoch", message: "cannot stop: planted" });
  });

  it.each([
    ["a status", accepted({ state: "running" })],
    ["a problem", { state: "refused", instance: "a", problem: "no" } as const],
  ])("that answers with what is not %s has failed", async (_, content) => {
    const asked = channel.command({ kind: "read" }, 0, within(5_000));
    await answer(content);
    await expect(asked).rejects.toMatchObject({ code: "agent-failed" });
  });

  it("that does not answer in time is unreachable; what was asked stands until something takes its place", async () => {
    await expect(channel.stop(stop, 1, within(400))).rejects.toMatchObject({ code: "agent-unreachable" });
    expect((await look())?.request).toMatchObject({ state: "asked", kind: "stop" });
  });

  it("cannot accept a stop any more once another command took its place, and its asker does not know", async () => {
    const asked = channel.stop(stop, 1, within(5_000));
    await expect.poll(look).not.toBeNull();
    const acceptance = planRequest(await look(), accepted(null));
    const withdrawn = channel.command(withdraw, 1, within(5_000));
    await expect(asked).rejects.toMatchObject({ code: "agent-unreachable" });
    const late = await applyRequestWrite({ ...mailbox(), write: acceptance, deadlineMs: 1_000 });
    expect(late.kind).toBe("superseded");
    expect(await answer(accepted(status))).toMatchObject({ command: withdraw });
    expect(await withdrawn).toEqual(status);
  });

  it.each<[string, () => void]>([
    ["an unclear write that was taken", () => bucket.inject({ kind: "unclear", write: "applied" })],
    ["an unclear write that was not", () => bucket.inject({ kind: "unclear", write: "dropped" })],
    ["a write that meets another one", () => bucket.inject({ kind: "refused" })],
  ])("is asked once over %s", async (_, plant) => {
    plant();
    const asked = channel.stop(stop, 1, within(5_000));
    await answer(accepted(null));
    await asked;
    expect(bucket.commits).toHaveLength(2);
  });

  it("is asked in the place of an old answer or of garbage", async () => {
    await store.put({ key: `.baton/leases/ledger/requests/${placement}.json`, body: "x", timeoutMs: 1_000 });
    for (let n = 0; n < 2; n += 1) {
      const asked = channel.command({ kind: "read" }, 0, within(5_000));
      await answer(accepted(status));
      expect(await asked).toEqual(status);
    }
  });

  it("is not asked when the store does not take it, and that is said", async () => {
    bucket.inject(...Array.from({ length: 50 }, () => ({ kind: "unclear", write: "dropped" }) as const));
    await expect(channel.stop(stop, 1, within(20_000))).rejects.toMatchObject({ code: "storage-unclear" });
    store = bucket.open({ writable: [prefix] });
    await expect(channel.stop(stop, 1, within(5_000))).rejects.toMatchObject({ code: "storage-credentials" });
  });
});

describe("a receipt in the bucket", () => {
  const put = (): Promise<unknown> =>
    putReceipt({ store: bucket.open(), prefix, key: stop.key, jws: "a.b.c", timeoutMs: 1_000 });

  it("is there at once, comes while it is waited for, or does not come in time", async () => {
    expect(await channel.receipt({ key: stop.key, waitMs: 300 }, within(5_000))).toBeNull();
    const waited = channel.receipt({ key: stop.key, waitMs: 5_000 }, within(5_000));
    await put();
    expect(await waited).toBe("a.b.c");
    expect(await channel.receipt({ key: stop.key, waitMs: 0 }, within(5_000))).toBe("a.b.c");
  });

  it("is not waited for by a caller who is gone, nor called absent by a store that does not answer", async () => {
    expect(await channel.receipt({ key: stop.key, waitMs: 60_000 }, within(50))).toBeNull();
    bucket.inject({ kind: "unclear", write: "dropped", on: "get" });
    await expect(channel.receipt({ key: stop.key, waitMs: 0 }, within(5_000))).rejects.toMatchObject({
      code: "storage-unclear",
    });
  });
});
