import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DevStoreFaults, startDevStore } from "@baton/dev-store";
import { type AccessKey, newOperationId, newPlacementId } from "@baton/protocol";
import { type ObjectStore, changeLease, openObjectStore, readLease } from "@baton/storage";
import { assertProbe, claimPrefix, getReceipt, probeStorage, putReceipt } from "@baton/storage";
import { openProbeDoor } from "@baton/storage/bucket";
import { testObjectStore } from "@baton/storage/testsuite";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const control = { accessKeyId: "CONTROLKEY", secretAccessKey: "control-secret-0123456789" };
const data = { accessKeyId: "DATAKEY", secretAccessKey: "data-secret-0123456789" };
const bucket = "harbor";

interface Served {
  probe(params?: {
    readonly control?: AccessKey;
    readonly data?: AccessKey;
    readonly bucket?: string;
  }): ReturnType<typeof probeStorage>;
  open(params?: {
    readonly accessKey?: AccessKey;
    readonly bucket?: string;
    readonly now?: () => Date;
  }): ObjectStore;
  teardown(): Promise<void>;
}

async function serve(faults: DevStoreFaults = {}): Promise<Served> {
  const directory = await mkdtemp(join(tmpdir(), "baton-storage-"));
  const keys = {
    buckets: [bucket],
    keys: [
      { ...control, allow: [{ bucket, prefix: "", write: true }] },
      {
        ...data,
        allow: [
          { bucket, prefix: "data/", write: true },
          { bucket, prefix: "", write: false },
        ],
      },
    ],
  };
  const server = await startDevStore({ directory, keys, port: 0, faults });
  const opened: { close(): void }[] = [];
  return {
    open: (params = {}) => {
      const { endpoint } = server;
      const store = openObjectStore({ endpoint, region: "us-east-1", bucket, accessKey: control, ...params });
      opened.push(store);
      return store;
    },
    probe: async (params = {}) => {
      const { endpoint } = server;
      const door = openProbeDoor({ endpoint, region: "us-east-1", bucket, control, data, ...params });
      opened.push(door);
      return probeStorage({ doors: [door], prefix: "data/", timeoutMs: 20_000, thorough: true });
    },
    teardown: async () => {
      for (const store of opened) store.close();
      await server.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

testObjectStore("the development endpoint", async () => {
  const served = await serve();
  return {
    store: served.open(),
    restricted: served.open({ accessKey: data }),
    teardown: () => served.teardown(),
  };
});

describe("at the development endpoint", () => {
  const timeoutMs = 5_000;
  const prefix = "data/";
  let served: Served;
  beforeAll(async () => {
    served = await serve();
  });
  afterAll(() => served.teardown());
  const refusedWith = (code: string): unknown => expect.objectContaining({ code });

  it("the probe passes", async () => {
    const result = await served.probe();
    expect(() => assertProbe(result, "the storage")).not.toThrow();
    expect(result.ifMatch).toBe("quoted");
    const deviations = result.tests.filter(({ passed }) => !passed).map(({ name }) => name);
    expect(deviations).toEqual([
      "open uploads are listed by prefix",
      "completing a multipart upload heeds its condition",
      "an aborted upload is gone",
      "older versions are kept",
    ]);
  });

  it("the probe finds that the application was given Baton's key", async () => {
    const result = await served.probe({ data: control });
    expect(() => assertProbe(result, "the storage")).toThrow(refusedWith("storage-unprotected"));
  });

  it("the probe finds that conditions are ignored", async () => {
    const careless = await serve({ ignoreConditions: true });
    try {
      const result = await careless.probe();
      expect(() => assertProbe(result, "the storage")).toThrow(refusedWith("storage-conditions"));
    } finally {
      await careless.teardown();
    }
  });

  it.each([
    ["storage-bucket-missing", { bucket: "nowhere" }],
    ["storage-credentials", { control: { ...control, accessKeyId: "NOBODYKEY" } }],
    ["storage-credentials", { control: { ...control, secretAccessKey: "wrong-secret-0123456789" } }],
  ] as const)("a wrong binding is %s", async (code, binding) => {
    const { control: accessKey = control, bucket: name = bucket } = {
      control: undefined,
      bucket: undefined,
      ...binding,
    };
    const store = served.open({ accessKey, bucket: name });
    await expect(readLease({ store, prefix, timeoutMs })).rejects.toEqual(refusedWith(code));
    await expect(served.probe(binding)).rejects.toEqual(refusedWith(code));
  });

  it.each([-14, 14])("a clock that is %i minutes off does not matter", async (minutes) => {
    const store = served.open({ now: () => new Date(Date.now() + minutes * 60_000) });
    expect(await store.put({ key: "skew", body: "1", timeoutMs })).toMatchObject({ kind: "stored" });
  });

  it.each([-16, 16])("a clock that is %i minutes off is named as what is wrong", async (minutes) => {
    const store = served.open({ now: () => new Date(Date.now() + minutes * 60_000) });
    await expect(store.put({ key: "skew", body: "2", timeoutMs })).rejects.toEqual(
      expect.objectContaining({
        code: "storage-failed",
        message: expect.stringContaining("the clocks of this machine and of the store differ") as unknown,
      }),
    );
  });

  it("a receipt is put once, whoever puts it, and not by the application's key", async () => {
    const store = served.open();
    const receipt = { store, prefix, key: "op-00000000000000000001.stop.0", timeoutMs };
    const mine = { ...receipt, jws: "a.b.c" };
    const application = served.open({ accessKey: data });
    expect(await getReceipt(receipt)).toBeNull();
    await expect(putReceipt({ ...mine, store: application })).rejects.toEqual(
      refusedWith("storage-credentials"),
    );
    const said = await Promise.all(
      Array.from({ length: 8 }, () => putReceipt({ ...mine, store: served.open() })),
    );
    expect(said.toSorted()).toEqual([...Array<string>(7).fill("present"), "stored"]);
    await expect(putReceipt({ ...mine, jws: "a.b.d" })).rejects.toEqual(refusedWith("command-conflict"));
    expect(await getReceipt(receipt)).toBe("a.b.c");
  });

  it("one of sixteen agents turns the grant into a run", async () => {
    const store = served.open();
    const operation = newOperationId();
    const holder = newPlacementId();
    const agent = { owner: "baton-1", holder, epoch: 1 };
    const change = (wanted: Parameters<typeof changeLease>[0]["change"], by = store) =>
      changeLease({ store: by, prefix, change: wanted, deadlineMs: 10_000 });
    await claimPrefix({ store, prefix, owner: "baton-1", application: "ledger", deadlineMs: 10_000 });
    const created = { owner: "baton-1", application: "ledger", prefix, holder, grant: "grant-1", operation };
    await change({ kind: "create", ...created });
    const runs = Array.from({ length: 16 }, (_, n) => ({
      placement: holder,
      instance: "life1",
      counter: n + 1,
    }));
    const results = await Promise.allSettled(
      runs.map((run) => change({ kind: "run", ...agent, grant: "grant-1", run }, served.open())),
    );
    const won = runs.filter((_, n) => results[n]?.status === "fulfilled");
    expect(won).toHaveLength(1);
    const lost = results.filter((each) => each.status === "rejected").map((each) => each.reason as unknown);
    expect(lost).toEqual(Array.from({ length: 15 }, () => refusedWith("grant-refused")));
    const view = await readLease({ store, prefix, timeoutMs });
    expect(view?.lease).toMatchObject({ state: "running", run: won[0] });
    await expect(
      change({ kind: "renew", ...agent, run: won[0]! }, served.open({ accessKey: data })),
    ).rejects.toEqual(refusedWith("storage-credentials"));
  });
});
