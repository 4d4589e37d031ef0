import { AppError } from "@baton/protocol";
import { describe, expect, it } from "vitest";
import { type MemoryBucket, createMemoryBucket } from "../memory-bucket.ts";
import type { ObjectStore } from "../object-store.port.ts";
import { assertProbe } from "./assert-probe.ts";
import type { ProbeDoor } from "./probe-door.ts";
import { type ProbeResult, probeStorage } from "./probe.ts";

const prefix = "ledger/";
const door = (control: ObjectStore, data: ObjectStore): ProbeDoor => ({
  endpoint: "memory",
  control: () => control,
  data,
  bucket: null,
  seen: () => null,
});
const probeDoors = (...doors: [ProbeDoor, ...ProbeDoor[]]): Promise<ProbeResult> =>
  probeStorage({ doors, prefix, timeoutMs: 5_000 });
const probe = (control: ObjectStore, data: ObjectStore): Promise<ProbeResult> =>
  probeDoors(door(control, data));
const failedOf = (result: ProbeResult): string[] =>
  result.tests.filter(({ passed }) => !passed).map(({ name }) => name);
const application = (bucket: MemoryBucket): ObjectStore => bucket.open({ writable: [prefix] });
const refusedWith = (code: string): unknown => expect.objectContaining({ code });

describe("probeStorage", () => {
  it("passes a store that honours conditions and separates the keys, and leaves nothing behind", async () => {
    const bucket = createMemoryBucket();
    const result = await probe(bucket.open(), application(bucket));
    expect(failedOf(result)).toEqual([]);
    expect(result.tests).toHaveLength(11);
    expect(result).toMatchObject({
      ifMatch: "quoted",
      endpoints: ["memory"],
      server: null,
      clockSkewMs: null,
    });
    expect(() => assertProbe(result, 'the storage "main"')).not.toThrow();
    expect([...bucket.objects.keys()]).toEqual([]);
  });

  it("demands of a replica that it keeps the application's key in its bounds, and no more", async () => {
    const [bucket, replica] = [createMemoryBucket(), createMemoryBucket({ ignoreConditions: true })];
    const main = door(bucket.open(), application(bucket));
    const behind = (data: ObjectStore) => ({ ...door(replica.open(), data), endpoint: "replica" });
    const probeBeside = (data: ObjectStore) =>
      probeStorage({ doors: [main], replicas: [behind(data)], prefix, timeoutMs: 5_000 });
    const result = await probeBeside(application(replica));
    expect(failedOf(result)).toEqual([]);
    expect(result.endpoints).toEqual(["memory", "replica"]);
    expect(replica.commits.every(({ key }) => key.startsWith(prefix))).toBe(true);
    expect([...bucket.objects.keys(), ...replica.objects.keys()]).toEqual([]);
    expect(failedOf(await probeBeside(replica.open()))).toEqual([
      "the application's key cannot write below .baton/",
      "the application's key cannot remove below .baton/",
    ]);
    // The same endpoint, were it not said to be a replica.
    const doors = [main, behind(application(replica))] as const;
    expect(failedOf(await probeStorage({ doors, prefix, timeoutMs: 5_000 }))).toContain(
      "what one endpoint took is read at once at every other",
    );
  });

  it("uses other scratch keys each time", async () => {
    const bucket = createMemoryBucket();
    await Promise.all([probe(bucket.open(), application(bucket)), probe(bucket.open(), application(bucket))]);
    const created = bucket.commits.filter(({ body }) => body === "first" || /^[0-9a-f]{32}$/.test(body));
    expect(new Set(created.map(({ key }) => key)).size).toBe(4);
  });

  it("finds a store that ignores conditions", async () => {
    const bucket = createMemoryBucket({ ignoreConditions: true });
    const result = await probe(bucket.open(), application(bucket));
    expect(failedOf(result)).toEqual([
      "a second create-only write is refused",
      "a write with a stale If-Match is refused",
      "a write with If-Match of a missing key is refused",
    ]);
    expect(() => assertProbe(result, 'the storage "main"')).toThrow(refusedWith("storage-conditions"));
    expect(() => assertProbe(result, 'the storage "main"')).toThrow(
      /^cannot use the storage "main": not true that a second create-only write is refused \(seen: stored\); .*; use a store that/,
    );
    expect([...bucket.objects.keys()]).toEqual([]);
  });

  it("finds a key of the application that can write to leases", async () => {
    const bucket = createMemoryBucket();
    const result = await probe(bucket.open(), bucket.open());
    expect(failedOf(result)).toEqual([
      "the application's key cannot write below .baton/",
      "the application's key cannot remove below .baton/",
    ]);
    expect(() => assertProbe(result, "it")).toThrow(refusedWith("storage-unprotected"));
  });

  it("finds a key of the application that cannot write to its own prefix", async () => {
    const bucket = createMemoryBucket();
    const result = await probe(bucket.open(), bucket.open({ writable: ["shop/"] }));
    expect(failedOf(result)).toEqual(["the application's key writes and reads below its prefix"]);
    expect(() => assertProbe(result, "it")).toThrow(refusedWith("storage-credentials"));
  });

  it("finds a store that does not implement conditions", async () => {
    const bucket = createMemoryBucket();
    const store = bucket.open();
    const put: ObjectStore["put"] = (request) =>
      request.condition === undefined
        ? store.put(request)
        : Promise.reject(new AppError("storage-failed", "cannot write: 501", { meta: { status: 501 } }));
    const result = await probe({ ...store, put }, application(bucket));
    expect(result.tests.slice(0, 5).map(({ passed, detail }) => ({ passed, detail }))).toEqual(
      Array.from({ length: 5 }, () => ({ passed: false, detail: "not implemented" })),
    );
    expect(() => assertProbe(result, "it")).toThrow(refusedWith("storage-conditions"));
  });

  it("finds that the application reads other bytes than it wrote", async () => {
    const bucket = createMemoryBucket();
    const data: ObjectStore = { ...application(bucket), get: () => Promise.resolve(null) };
    expect(failedOf(await probe(bucket.open(), data))).toEqual([
      "the application's key writes and reads below its prefix",
    ]);
  });

  it("ends where the application's key gets no answer, which is no verdict", async () => {
    const bucket = createMemoryBucket();
    const data: ObjectStore = {
      ...application(bucket),
      put: () => Promise.reject(new AppError("storage-unclear", "cannot write: 500")),
    };
    await expect(probe(bucket.open(), data)).rejects.toEqual(refusedWith("storage-unclear"));
  });

  it.each([
    "storage-bucket-missing",
    "storage-credentials",
    "storage-unreachable",
    "storage-unclear",
  ] as const)("ends with %s where that is no verdict", async (code) => {
    const bucket = createMemoryBucket();
    bucket.inject({ kind: "error", code });
    await expect(probe(bucket.open(), application(bucket))).rejects.toEqual(refusedWith(code));
    expect([...bucket.objects.keys()]).toEqual([]);
  });

  describe("with several endpoints", () => {
    /** A second endpoint with a state of its own, as badly replicated stores have. */
    const twoBuckets = () => {
      const [one, two] = [createMemoryBucket(), createMemoryBucket()];
      return [door(one.open(), application(one)), door(two.open(), application(two))] as const;
    };

    it("finds endpoints that decide by themselves", async () => {
      const result = await probeDoors(...twoBuckets());
      expect(failedOf(result)).toEqual([
        "one of 16 create-only writes at once wins, at whatever endpoint",
        "one of 16 writes with one If-Match wins, at whatever endpoint",
        "what one endpoint took is read at once at every other",
      ]);
      expect(() => assertProbe(result, "it")).toThrow(refusedWith("storage-conditions"));
    });

    it("finds an endpoint that shows what was there before", async () => {
      const bucket = createMemoryBucket();
      const late = bucket.open();
      const older = new Map<string, Awaited<ReturnType<ObjectStore["get"]>>>();
      /** Each read gives what the one before it should have given. */
      const get: ObjectStore["get"] = async (request) => {
        const before = older.get(request.key) ?? null;
        older.set(request.key, await late.get(request));
        return before;
      };
      const result = await probeDoors(
        door(bucket.open(), application(bucket)),
        door({ ...late, get }, application(bucket)),
      );
      expect(failedOf(result)).toContain("what one endpoint took is read at once at every other");
    });

    it("finds one endpoint of two where the application's key reaches the leases", async () => {
      const bucket = createMemoryBucket();
      const result = await probeDoors(door(bucket.open(), application(bucket)), {
        ...door(bucket.open(), bucket.open()),
        endpoint: "back door",
      });
      expect(failedOf(result)).toEqual([
        "the application's key cannot write below .baton/",
        "the application's key cannot remove below .baton/",
      ]);
      expect(result.tests.find(({ passed }) => !passed)?.detail).toBe("stored at back door");
    });

    it("passes two endpoints of one state", async () => {
      const bucket = createMemoryBucket();
      const result = await probeDoors(
        door(bucket.open(), application(bucket)),
        door(bucket.open(), application(bucket)),
      );
      expect(failedOf(result)).toEqual([]);
    });
  });

  describe("under a race in which the store fails", () => {
    /** Answers are lost for writes at once, of which the first was taken. */
    const failing = (taken: boolean) => {
      const bucket = createMemoryBucket();
      const store = bucket.open();
      let racing = 0;
      const put: ObjectStore["put"] = async (request) => {
        if (!String(request.body).startsWith("writer")) return store.put(request);
        racing += 1;
        if (racing % 16 === 1 && taken) await store.put(request);
        throw new AppError("storage-unclear", "cannot write: 500");
      };
      return door({ ...store, put }, application(bucket));
    };
    it("takes it that one whose answer was lost won, when nobody else did", async () =>
      expect(failedOf(await probeDoors(failing(true)))).toEqual([]));
    it("finds a store where nobody ever wins", async () =>
      expect(failedOf(await probeDoors(failing(false)))).toEqual([
        "one of 16 create-only writes at once wins, at whatever endpoint",
        "one of 16 writes with one If-Match wins, at whatever endpoint",
      ]));
  });

  describe("the form of If-Match", () => {
    /** Takes an ETag in one form only; `otherwise` is what becomes of the other. */
    const choosy = (wanted: "quoted" | "bare", otherwise: "refuse" | "ignore") => {
      const bucket = createMemoryBucket();
      const store = bucket.open();
      const control: ProbeDoor["control"] = (form) => ({
        ...store,
        put: (request) => {
          if (request.condition?.kind !== "match" || form === wanted) return store.put(request);
          if (otherwise === "refuse") return Promise.resolve({ kind: "refused" });
          return store.put({ ...request, condition: undefined });
        },
      });
      return { ...door(store, application(bucket)), control };
    };
    it.each(["quoted", "bare"] as const)("is found: %s", async (form) => {
      const result = await probeDoors(choosy(form, "refuse"));
      expect(result.ifMatch).toBe(form);
      expect(failedOf(result)).toEqual([]);
    });
    it("is not found where the store ignores what it does not understand", async () => {
      const result = await probeDoors(choosy("bare", "ignore"));
      expect(() => assertProbe(result, "it")).toThrow(refusedWith("storage-conditions"));
    });
  });

  it("tells clocks that are apart, and refuses nothing for it", async () => {
    const bucket = createMemoryBucket();
    const skewed = { ...door(bucket.open(), application(bucket)) };
    const result = await probeDoors({ ...skewed, seen: () => ({ server: "Store/1", clockSkewMs: -90_000 }) });
    expect(result).toMatchObject({ server: "Store/1", clockSkewMs: -90_000 });
    expect(failedOf(result)).toEqual(["the clocks of the store and of this machine agree to a minute"]);
    expect(() => assertProbe(result, "it")).not.toThrow();
  });
});
