import { AppError, type ErrorCode } from "@baton/protocol";
import { describe, expect, it } from "vitest";
import type { BucketPort, VersionEntry } from "./bucket.port.ts";
import { waitForEqualInventory } from "./equal-inventory.ts";
import { versionOf } from "./fixtures/inventory-samples.ts";
import { createTestClock } from "./test-clock.ts";

const objects = [versionOf("data/a", { size: 2 }), versionOf("data/b", { etag: '"new"' })];
const older = [versionOf("data/a", { size: 2 }), versionOf("data/b", { etag: '"old"' })];

/** An endpoint that lists these in turn, the last for ever; a code is a listing that fails. */
function listing(endpoint: string, ...answers: readonly (readonly VersionEntry[] | ErrorCode)[]) {
  let looks = 0;
  const listVersions: BucketPort["listVersions"] = async function* () {
    const answer = answers[Math.min(looks, answers.length - 1)] ?? [];
    looks += 1;
    if (typeof answer === "string") throw new AppError(answer, `cannot list: ${answer}`);
    yield await Promise.resolve({ kind: "versions" as const, entries: answer });
  };
  return { endpoint, bucket: { listVersions }, looks: () => looks };
}
const wait = (
  written: ReturnType<typeof listing>,
  replica: ReturnType<typeof listing>,
  options: { readonly signal?: AbortSignal; readonly deadlineMs?: number } = {},
) =>
  waitForEqualInventory({
    written,
    replica,
    prefix: "data/",
    pageTimeoutMs: 1_000,
    deadlineMs: 10_000,
    clock: createTestClock(),
    ...options,
  });

describe("waiting for an equal inventory", () => {
  it("is over at once where both show the same", async () => {
    expect(await wait(listing("main", objects), listing("replica", objects))).toMatchObject({
      looks: 1,
      waitedMs: 0,
      inventory: { objects: 2, bytes: 3 },
    });
  });

  it.each([
    ["objects are missing", [versionOf("data/a", { size: 2 })]],
    ["an object is as it was before", older],
    ["a removed object is still there", [...objects, versionOf("data/c")]],
    ["it cannot be reached", "storage-unreachable"],
    ["its answer is unclear", "storage-unclear"],
  ] as const)("goes on while %s", async (_, first) => {
    const seen = await wait(listing("main", objects), listing("replica", first, first, objects));
    expect(seen).toMatchObject({ looks: 3, waitedMs: 300 });
  });

  it("ends with the difference when the time is up", async () => {
    const failed = wait(listing("http://main", objects), listing("http://replica", older.slice(1)));
    await expect(failed).rejects.toMatchObject({
      code: "storage-stale",
      message:
        'cannot say that http://replica has everything that http://main took: not after 10000 ms (2 objects differ below "data/": 0 added, 1 removed, 1 changed. Before: 2 objects, 3 bytes; after: 1 object, 1 byte. - "data/a" 2 bytes ~ "data/b" ETag new → old); see how far its replication is, and ask again',
    });
  });

  it("tells the difference rather than that the last listing was cut", async () => {
    const replica = listing("replica", older, "deadline-exceeded");
    await expect(wait(listing("main", objects), replica)).rejects.toThrow("ETag new → old");
    const silent = listing("replica", older, "storage-unreachable");
    await expect(wait(listing("main", objects), silent)).rejects.toThrow("cannot list: storage-unreachable");
    const never = listing("replica", "deadline-exceeded");
    await expect(wait(listing("main", objects), never)).rejects.toThrow("cannot list: deadline-exceeded");
  });

  it("looks once at least, and lists both anew each time", async () => {
    const [main, replica] = [listing("main", objects), listing("replica", older)];
    await expect(wait(main, replica, { deadlineMs: 50 })).rejects.toMatchObject({ code: "storage-stale" });
    expect([main.looks(), replica.looks()]).toEqual([1, 1]);
    await wait(main, listing("replica", older, objects));
    expect(main.looks()).toBe(3);
  });

  it("ends at once where asking again does not help, and with its caller", async () => {
    const denied = listing("replica", "storage-credentials");
    await expect(wait(listing("main", objects), denied)).rejects.toMatchObject({
      code: "storage-credentials",
    });
    expect(denied.looks()).toBe(1);
    const over = AbortSignal.abort(new Error("the step is over"));
    await expect(
      wait(listing("main", objects), listing("replica", objects), { signal: over }),
    ).rejects.toThrow("the step is over");
  });
});
