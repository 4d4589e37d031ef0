import { newPlacementId } from "@baton/protocol";
import { beforeEach, describe, expect, it } from "vitest";
import { type MemoryBucket, type MemoryFault, createMemoryBucket } from "./memory-bucket.ts";
import type { ObjectStore } from "./object-store.port.ts";
import {
  type RequestContent,
  type RequestView,
  type RequestWrite,
  type RequestWriteResult,
  applyRequestWrite,
  planRequest,
  readRequest,
  requestKey,
} from "./request-objects.ts";
import { createTestClock } from "./test-clock.ts";

const prefix = "ledger/";
const placement = newPlacementId();
const path = `.baton/leases/ledger/requests/${placement}.json`;
const refusedWith = (code: string): unknown => expect.objectContaining({ code });
const stop: RequestContent = { state: "asked", kind: "stop", token: "a.b.c" };
const withdraw: RequestContent = { state: "asked", kind: "withdraw", token: "d.e.f" };
const accepted: RequestContent = { state: "accepted", instance: "agent-1", status: null };

let bucket: MemoryBucket;
let store: ObjectStore;
beforeEach(() => {
  bucket = createMemoryBucket();
  store = bucket.open();
});

const read = (): Promise<RequestView | null> => readRequest({ store, prefix, placement, timeoutMs: 1_000 });
const apply = (write: RequestWrite, deadlineMs = 10_000): Promise<RequestWriteResult> =>
  applyRequestWrite({ store, prefix, placement, write, deadlineMs, clock: createTestClock() });
const put = async (content: RequestContent): Promise<RequestWrite> => {
  const write = planRequest(await read(), content);
  expect(await apply(write)).toMatchObject({ kind: "applied" });
  return write;
};
const lay = async (body: string): Promise<void> =>
  void (await store.put({ key: path, body, timeoutMs: 1_000 }));

describe("requestKey", () => {
  it("puts what is asked of a placement beside the lease, below the control prefix", () => {
    expect(requestKey(prefix, placement)).toBe(path);
  });

  it.each([
    ["../", placement],
    [".baton/leases/", placement],
    [prefix, "../lease"],
    [prefix, "pl-1"],
    [prefix, ""],
  ])("refuses %j with %j", (wrongPrefix, wrongPlacement) => {
    expect(() => requestKey(wrongPrefix, wrongPlacement)).toThrow(refusedWith("invalid-request"));
  });
});

describe("a request", () => {
  it("is read as it was written, and knows the writes before it", async () => {
    expect(await read()).toBeNull();
    const asked = await put(stop);
    expect((await read())?.request).toEqual({ version: 1, nonce: asked.nonce, history: [], ...stop });
    const answered = await put(accepted);
    expect((await read())?.request).toEqual({
      version: 1,
      nonce: answered.nonce,
      history: [asked.nonce],
      ...accepted,
    });
  });

  it("has other bytes each time, and so another ETag", async () => {
    expect(planRequest(null, stop).body).not.toBe(planRequest(null, stop).body);
  });

  it("remembers the last sixteen writes", async () => {
    const writes: RequestWrite[] = [];
    for (let n = 0; n < 20; n += 1) writes.unshift(await put(stop));
    const history = writes.slice(1, 17).map(({ nonce }) => nonce);
    expect((await read())?.request?.history).toEqual(history);
  });

  it.each([
    ["not JSON", "{"],
    ["nothing", ""],
    ["another document", '{"version":1}'],
    [
      "another version",
      JSON.stringify({ ...(JSON.parse(planRequest(null, stop).body) as object), version: 2 }),
    ],
    [
      "something more",
      JSON.stringify({ ...(JSON.parse(planRequest(null, stop).body) as object), body: "x" }),
    ],
    ["an unknown command", planRequest(null, stop).body.replace('"stop"', '"start"')],
    ["too much", planRequest(null, { state: "asked", kind: "stop", token: "x".repeat(70_000) }).body],
  ])("that is %s is none, and can be replaced", async (_, body) => {
    await lay(body);
    expect(await read()).toMatchObject({ request: null });
    await put(stop);
    expect((await read())?.request).toMatchObject(stop);
  });

  it("is not absent when the store cannot say so", async () => {
    bucket.inject({ kind: "unclear", write: "dropped", on: "get" });
    await expect(read()).rejects.toEqual(refusedWith("storage-unclear"));
  });

  it("cannot be written by the application's key", async () => {
    store = bucket.open({ writable: [prefix] });
    await expect(apply(planRequest(null, stop))).rejects.toEqual(refusedWith("storage-credentials"));
  });
});

describe("of two writes on one ETag", () => {
  it("only the first is taken: an accepted stop cannot be withdrawn, a withdrawn one cannot be accepted", async () => {
    await put(stop);
    const seen = await read();
    const [acceptance, withdrawal] = [planRequest(seen, accepted), planRequest(seen, withdraw)];
    expect(await apply(withdrawal)).toMatchObject({ kind: "applied" });
    const nonce = withdrawal.nonce;
    expect(await apply(acceptance)).toMatchObject({ kind: "superseded", current: { request: { nonce } } });
    expect((await read())?.request).toMatchObject(withdraw);
  });

  it("the first one has its effect once, however often it is sent", async () => {
    const write = await put(stop);
    expect(await apply(write)).toEqual({ kind: "applied", etag: (await read())?.etag });
    expect(bucket.commits).toHaveLength(1);
  });

  it("the first one was taken also when others came after it", async () => {
    const write = await put(stop);
    await put(accepted);
    await put(withdraw);
    expect(await apply(write)).toEqual({ kind: "applied", etag: null });
  });

  it("none is taken where the object was removed, or another thing is there now", async () => {
    await put(stop);
    const write = planRequest(await read(), accepted);
    await store.remove({ key: path, timeoutMs: 1_000 });
    expect(await apply(write)).toEqual({ kind: "superseded", current: null });
    await lay("garbage");
    expect(await apply(write)).toMatchObject({ kind: "superseded", current: { request: null } });
  });
});

describe("a write without a clear answer", () => {
  it.each<[string, MemoryFault[]]>([
    ["was taken", [{ kind: "unclear", write: "applied" }]],
    ["was not taken", [{ kind: "unclear", write: "dropped" }]],
    ["is still under way", [{ kind: "unclear", write: "late" }]],
    ["could not be sent", [{ kind: "error", code: "storage-unreachable" }]],
    ["met another write that failed (409)", [{ kind: "refused" }]],
    [
      "was taken, whose reading back is lost too",
      [
        { kind: "unclear", write: "applied" },
        { kind: "unclear", write: "dropped", on: "get" },
      ],
    ],
  ])("is there once in the end: it %s", async (_, faults) => {
    const write = planRequest(null, stop);
    bucket.inject(...faults);
    expect(await apply(write)).toMatchObject({ kind: "applied" });
    bucket.deliverLate();
    expect(bucket.commits.map(({ body }) => body)).toEqual([write.body]);
  });

  it("is not called taken or refused when no answer came in time", async () => {
    bucket.inject(...Array.from({ length: 20 }, () => ({ kind: "unclear", write: "dropped" }) as const));
    await expect(apply(planRequest(null, stop), 3_000)).rejects.toEqual(refusedWith("storage-unclear"));
  });
});
