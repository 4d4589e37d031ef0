import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { walkFiles } from "./walk-files.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "process-tree-"));
  await mkdir(join(folder, "a/b"), { recursive: true });
  for (const name of ["1", "a/2", "a/b/3"]) await writeFile(join(folder, name), "");
  await symlink("/", join(folder, "everything"));
});

afterEach(() => rm(folder, { recursive: true }));

async function walk(
  limit: number,
  isLate = (): boolean => false,
): Promise<{ whole: boolean; names: string[] }> {
  const names: string[] = [];
  const whole = await walkFiles(folder, { limit, isLate }, ({ path }) => names.push(relative(folder, path)));
  return { whole, names: names.toSorted() };
}

describe("walkFiles", () => {
  it("shows the folder first and all that is below, and follows no link", async () => {
    expect(await walk(7)).toEqual({
      whole: true,
      names: ["", "1", "a", "a/2", "a/b", "a/b/3", "everything"],
    });
  });

  it("says that there is more than it may look at", async () => {
    for (let limit = 0; limit < 7; limit++) {
      const { whole, names } = await walk(limit);
      expect(whole).toBe(false);
      expect(names.length).toBeLessThanOrEqual(limit);
    }
  });

  it("ends when it is late", async () => {
    expect((await walk(100, () => true)).whole).toBe(false);
  });

  it("throws for a folder that is not there", async () => {
    await rm(folder, { recursive: true });
    expect(await walk(100)).toEqual({ whole: true, names: [] });
    await mkdir(folder);
  });
});
