import { type ProbeResult, assertProbe, probeStorage } from "@baton/storage";
import { openProbeDoor } from "@baton/storage/bucket";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type FoundStore, type StoreBed, bedMs, ceph, minio } from "./store-bed.ts";

const prefix = "ledger/";

interface Expected {
  readonly store: FoundStore;
  readonly ifMatch: ProbeResult["ifMatch"];
  /** With or without versions. */
  readonly deviations: readonly string[];
  /** What else fails in a bucket with versions: none of it may be missed. */
  readonly versioned: readonly string[];
}

/** What each store does in its own way, as `docs/stores.md` lists it. */
const stores: readonly Expected[] = [
  {
    store: ceph,
    ifMatch: "bare",
    deviations: [
      "a removal with a stale If-Match is refused",
      "completing a multipart upload heeds its condition",
    ],
    versioned: ["a second create-only write is refused", "a write with the right If-Match is taken"],
  },
  {
    store: minio,
    ifMatch: "quoted",
    deviations: [
      "an object below another object's key is listed",
      "open uploads are listed by prefix",
      "a removal with a stale If-Match is refused",
    ],
    versioned: [],
  },
];
const failedOf = (result: ProbeResult): string[] =>
  result.tests.filter(({ passed }) => !passed).map(({ name }) => name);

for (const { store, ifMatch, deviations, versioned } of stores)
  describe(
    `the probe on ${store.meta.needs.part}`,
    { skip: store.missing !== null, meta: store.meta },
    () => {
      let bed: StoreBed;
      beforeAll(async () => {
        bed = await store.open();
      }, bedMs);
      afterAll(() => bed.close(), bedMs);

      const probe = async (versioned: boolean) => {
        const bucket = await bed.makeBucket({ versioned });
        const data = await bed.narrow(bucket, prefix);
        const { region, root: control } = bed;
        const doors = bed.endpoints.map((endpoint) =>
          openProbeDoor({ endpoint, region, bucket, control, data }),
        );
        try {
          const [first, ...others] = doors;
          if (first === undefined) throw new Error("no endpoint");
          return await probeStorage({ doors: [first, ...others], prefix, timeoutMs: 60_000, thorough: true });
        } finally {
          for (const door of doors) door.close();
        }
      };

      it("finds it fit, with the form of If-Match, and with its deviations", async () => {
        const result = await probe(false);
        expect(() => assertProbe(result, "the storage")).not.toThrow();
        expect(failedOf(result)).toEqual([...deviations, "older versions are kept"]);
        expect(result).toMatchObject({ ifMatch, endpoints: bed.endpoints });
        expect(Math.abs(result.clockSkewMs ?? Infinity)).toBeLessThan(5_000);
      });

      it(`${versioned.length === 0 ? "finds" : "refuses"} a bucket with versions`, async () => {
        expect(failedOf(await probe(true)).filter((name) => !deviations.includes(name))).toEqual(versioned);
      });
    },
  );
