import { expect, it } from "vitest";
import { bucketOf, versionOf } from "./fixtures/inventory-samples.ts";
import { createMemoryBucket } from "./memory-bucket.ts";
import { listsNestedKeys } from "./nested-keys.ts";

const limit = { pageTimeoutMs: 1_000, deadlineMs: 1_000, prefix: "data/" };

it.each([
  ["all", () => true, true],
  ["only the outer", (key: string) => !key.includes("inner"), false],
  ["nothing", () => false, false],
])("a store that lists %s is told apart, and nothing stays there", async (_, isListed, expected) => {
  const memory = createMemoryBucket();
  const listVersions = () =>
    bucketOf([[...memory.objects.keys()].filter(isListed).map((key) => versionOf(key))]).listVersions({
      ...limit,
    });
  const asked = { ...limit, store: memory.open(), bucket: { listVersions } };
  expect(await listsNestedKeys(asked)).toBe(expected);
  expect(memory.commits.filter(({ method }) => method === "put")).toHaveLength(2);
  expect([...memory.objects]).toEqual([]);
});
