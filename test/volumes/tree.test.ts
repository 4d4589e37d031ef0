import { execFileSync } from "node:child_process";
import {
  chmod,
  chown,
  link,
  mkdir,
  mkdtemp,
  rm,
  symlink,
  truncate,
  utimes,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { changesOf, compareTrees, readEntries, treeEntries, writeEntries } from "@baton/volumes";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { missing, needs } from "./volume-bed.ts";

describe("two trees", { skip: missing, meta: { needs } }, () => {
  let folder: string;
  let [a, b] = ["", ""];
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "baton-tree-"));
    [a, b] = [join(folder, "a"), join(folder, "b")];
    await mkdir(join(a, "sub.d"), { recursive: true });
    await mkdir(join(a, "sub"));
    await writeFile(join(a, "sub", "file"), "contents");
    await link(join(a, "sub", "file"), join(a, "twin"));
    await symlink("nowhere", join(a, "link"));
    await writeFile(Buffer.concat([Buffer.from(`${a}/\n\\=`), Buffer.of(0xff)]), "odd");
    await writeFile(join(a, "holes"), "");
    await truncate(join(a, "holes"), 3 << 20);
    execFileSync("mkfifo", [join(a, "pipe")]);
    execFileSync("sh", [
      "-c",
      'cd "$1" && for f in *; do setfattr -n user.k -v v "$f" 2>/dev/null; done; true',
      "sh",
      a,
    ]);
    execFileSync("cp", ["-a", "--sparse=always", a, b]);
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const entries = (root: string, exclude: readonly string[] = []) =>
    treeEntries({ root, exclude, contents: true });
  const compare = (exclude: readonly string[] = []) =>
    compareTrees(entries(a, exclude), entries(b, exclude), { limit: 3, sparse: true });

  it("are the same when everything is", async () => {
    expect(await compare()).toEqual({ count: 0, first: [] });
  });

  it.each<[string, (file: string) => Promise<unknown>, RegExp]>([
    ["contents", (f) => writeFile(f, "CONTENTS").then(() => sameTime(f)), /other contents/],
    ["a size", (f) => truncate(f, 3).then(() => sameTime(f)), /size 8 and 3/],
    ["an owner", (f) => chown(f, 7, 8), /uid 0 and 7, gid 0 and 8/],
    ["a mode", (f) => chmod(f, 0o4711), /mode 644 and 4711/],
    ["a time", (f) => utimes(f, 1, 1), /mtimeNs \d+ and 1000000000/],
    [
      "an attribute",
      async (f) => execFileSync("setfattr", ["-n", "user.k", "-v", "w", f]),
      /other attributes/,
    ],
    [
      "an attribute of root's",
      async (f) => execFileSync("setfattr", ["-n", "trusted.k", "-v", "w", f]),
      /other attributes/,
    ],
  ])("differ by %s", async (_, change, words) => {
    await change(join(b, "sub", "file"));
    const { count, first } = await compare();
    expect(count).toBeGreaterThan(0);
    expect(first.join("\n")).toMatch(words);
  });

  it("differ by what only one of them has, each said once", async () => {
    await rm(join(b, "sub"), { recursive: true });
    await writeFile(join(b, "sub.d", "more"), "");
    await utimes(b, 5, 5);
    const { count, first } = await compare();
    expect(first).toEqual([
      expect.stringMatching(/^its own folder: mtimeNs/),
      '"sub": only in the first',
      '"sub/file": only in the first',
    ]);
    expect(count).toBeGreaterThan(3);
  });

  it("differ by holes, names that are not UTF-8, targets and hard links", async () => {
    await writeFile(join(b, "holes"), Buffer.alloc(3 << 20));
    execFileSync("cp", ["-p", join(a, "twin"), join(b, "copy")]);
    execFileSync("mv", ["-f", join(b, "copy"), join(b, "twin")]);
    await rm(join(b, "link"));
    await symlink("elsewhere", join(b, "link"));
    const { first } = await compareTrees(entries(a), entries(b), { limit: 99, sparse: true });
    const words = first.join("\n");
    expect(words).toMatch(/"holes":.*sparse true and false/);
    expect(words).toMatch(/"link":.*target nowhere and elsewhere/);
    expect(words).toMatch(/"twin":.*sameAs sub\/file and null/);
  });

  it("are the same but for what is left out", async () => {
    await writeFile(join(b, "sub", "file"), "other");
    await rm(join(b, "twin"));
    expect((await compare()).count).toBeGreaterThan(0);
    const { first } = await compare(["sub", "twin"]);
    expect(first).toEqual([expect.stringMatching(/^its own folder: mtimeNs/)]);
  });

  it("can be compared where one of them is a list of files that is whole", async () => {
    const list = join(folder, "list");
    const { entries: count, bytes } = await writeEntries(list, entries(a));
    expect([count, bytes]).toEqual([9, 8 * 2 + 3 + (3 << 20)]);
    expect(await compareTrees(readEntries(list), entries(b), { limit: 3, sparse: true })).toMatchObject({
      count: 0,
    });
    await truncate(list, 900);
    await expect(
      compareTrees(readEntries(list), entries(b), { limit: 3, sparse: true }),
    ).rejects.toMatchObject({ code: "copier-failed" });
  });

  it("of two moments tell what was touched, and nothing else", async () => {
    const look = () => treeEntries({ root: a, exclude: [], contents: false });
    const list = join(folder, "before");
    await writeEntries(list, look());
    expect(await changesOf(readEntries(list), look(), { limit: 9 })).toEqual({ count: 0, first: [] });
    // The clock that the file system notes times by goes in steps of some milliseconds.
    await expect
      .poll(async () => {
        await writeFile(join(a, "sub", "file"), "CONTENTS");
        return (await changesOf(readEntries(list), look(), { limit: 9 })).first.map(
          (words) => words.split(":")[0],
        );
      })
      .toEqual(['"sub/file"', '"twin"']);
  });

  it("have no other file system inside", async () => {
    const everything = treeEntries({ root: "/", exclude: [], contents: false });
    const walk = writeEntries(join(folder, "list"), everything);
    await expect(walk).rejects.toMatchObject({
      code: "volume-unfit",
      message: expect.stringContaining("is mounted at"),
    });
  });

  async function sameTime(file: string): Promise<void> {
    execFileSync("touch", ["-r", join(a, "sub", "file"), file]);
  }
});
