import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { type VersionPage, takeInventory } from "@baton/storage/bucket";
import { readInventory } from "@baton/storage/inventory";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ListingServer, type ObjectAt, serveListing } from "./listing-server.ts";

const count = 1_000_000;
const allowedGrowth = 100 * 2 ** 20;
/**
 * V8 lets garbage lie while it has room: by itself the peak is some 190 MiB higher, for a hundred thousand objects as for a million. So it is
 * given little room, in which a process that kept what it read would end.
 */
const littleRoom = ["--max-old-space-size=64", "--max-semi-space-size=4"];

const objectAt: ObjectAt = (n) => ({
  key: `data/warehouse/ledger/part-${String(n).padStart(9, "0")}`,
  size: n,
  etag: createHash("md5").update(`${n}`).digest("hex"),
});
interface Measured {
  readonly result: unknown;
  readonly tookMs: number;
  readonly growth: number;
}

describe("an inventory of a million objects", () => {
  let directory: string;
  let server: ListingServer;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "baton-inventory-"));
    server = await serveListing(count, objectAt);
  });
  afterAll(async () => {
    await server.close();
    await rm(directory, { recursive: true, force: true });
  });

  const measure = async (...args: readonly string[]): Promise<Measured> => {
    const program = join(import.meta.dirname, "fixtures/take-inventory.ts");
    const { stdout } = await promisify(execFile)(process.execPath, [...littleRoom, program, ...args]);
    const measured = JSON.parse(stdout) as Measured;
    console.info(
      `${args[0]}: ${measured.tookMs} ms, ${(measured.growth / 2 ** 20).toFixed(1)} MiB more at the peak`,
    );
    return measured;
  };
  const before = (): string => join(directory, "before.gz");
  const after = (): string => join(directory, "after.gz");

  it("is taken page by page, in little memory", { timeout: 900_000 }, async () => {
    const { result, growth } = await measure("take", server.endpoint, before());
    expect(result).toMatchObject({ objects: count, listed: "versions", noncurrent: 0 });
    expect(server.requests()).toBe(count / 1_000);
    expect(growth).toBeLessThan(allowedGrowth);
    console.info(`its file: ${((await stat(before())).size / 2 ** 20).toFixed(1)} MiB`);
  });

  it("is compared with another one in little memory", { timeout: 300_000 }, async () => {
    const limit = { pageTimeoutMs: 1_000, deadlineMs: 300_000 };
    await takeInventory({ ...limit, bucket: { listVersions: listLater }, prefix: "data/", file: after() });
    const { result, growth } = await measure("diff", before(), after());
    expect(String(result).split("\n")).toEqual([
      '5 objects differ below "data/": 0 added, 1 removed, 4 changed.',
      expect.stringMatching(/^Before: 1000000 objects, \d+ bytes; after: 999999 objects, \d+ bytes\.$/),
      ...[7, 250_007, 500_007].map((n) => `  ~ "${objectAt(n).key}" size ${n} → ${n + 1}`),
      "  … and 2 more",
    ]);
    expect(growth).toBeLessThan(allowedGrowth);
  });

  /** The same objects, of which a few were changed, and the last one removed. */
  async function* listLater(): AsyncGenerator<VersionPage, void, undefined> {
    let n = 0;
    for await (const page of readInventory(before())) {
      const entries = page.map(({ version, ...entry }) => {
        const size = n % 250_000 === 7 ? n + 1 : n;
        n += 1;
        return { ...entry, size, versionId: version, isLatest: true, deleteMarker: false };
      });
      yield { kind: "versions", entries: n === count ? entries.slice(0, -1) : entries };
    }
  }
});
