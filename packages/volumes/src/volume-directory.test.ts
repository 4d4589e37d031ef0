import { mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Repository, Snapshot } from "./restic.port.ts";
import { openVolumeDirectory } from "./volume-directory.ts";

let root: string;
let path: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "baton-volume-"));
  path = join(root, "data");
});
afterEach(() => rm(root, { recursive: true, force: true }));

const limit = { deadlineMs: 10_000 };
const open = (changes: { application?: string; path?: string; root?: string } = {}) =>
  openVolumeDirectory({ path, root, application: "ledger", volume: "data", ...changes });
const snapshot = (id: string, epoch: number): Snapshot => ({
  id,
  epoch,
  takenAt: "2026-11-28T00:00:00Z",
  volume: "data",
  kind: "final",
  folder: "elsewhere",
});

/** Restores one file that says which snapshot it is; or fails half way. */
const repository = (params: { bytes?: number; fails?: boolean } = {}): Repository =>
  ({
    sizeOf: async () => ({ bytes: params.bytes ?? 1, files: 1 }),
    restore: async ({ snapshot: { id, folder }, target }: Parameters<Repository["restore"]>[0]) => {
      await mkdir(join(target, folder));
      await writeFile(join(target, folder, "which"), id);
      if (params.fails === true) throw new Error("cut off");
    },
  }) as unknown as Repository;

const which = () => readFile(join(path, "which"), "utf8");

describe("a volume's folder", () => {
  it("is claimed where nothing or an empty folder is, and stays claimed", async () => {
    const volume = open();
    expect(await volume.inspect()).toEqual({ kind: "absent" });
    await mkdir(path);
    expect(await volume.inspect()).toEqual({ kind: "empty" });
    await volume.claim({ epoch: 1, adopt: false });
    await writeFile(join(path, "x"), "");
    await volume.claim({ epoch: 2, adopt: false });
    expect(await volume.inspect()).toEqual({ kind: "ours", epoch: 1, snapshot: null });
    expect(await readdir(path)).toEqual(["x"]);
  });

  it("of somebody is neither claimed nor restored, unless it is adopted", async () => {
    await mkdir(path);
    await writeFile(join(path, "precious"), "");
    const volume = open();
    const refused = {
      code: "volume-foreign",
      message: expect.stringContaining('1 entries, "precious" among them'),
    };
    await expect(volume.claim({ epoch: 1, adopt: false })).rejects.toMatchObject(refused);
    await expect(
      volume.restore({ ...limit, repository: repository(), snapshot: snapshot("a", 1) }),
    ).rejects.toMatchObject(refused);
    expect(await readdir(root)).toEqual(["data"]);
    await volume.claim({ epoch: 1, adopt: true });
    expect(await readdir(path)).toEqual(["precious"]);
    expect(await volume.inspect()).toMatchObject({ kind: "ours" });
  });

  it("is not ours because it stands where ours stood", async () => {
    await open().claim({ epoch: 1, adopt: false });
    await rename(path, join(root, "moved"));
    await mkdir(path);
    await writeFile(join(path, "impostor"), "");
    expect(await open().inspect()).toMatchObject({ kind: "foreign" });
  });

  it("is not another application's", async () => {
    await open().claim({ epoch: 1, adopt: false });
    for (const act of [
      () => open({ application: "other" }).claim({ epoch: 1, adopt: true }),
      () => open({ application: "other" }).prune(),
    ])
      await expect(act()).rejects.toMatchObject({
        code: "volume-foreign",
        message: expect.stringContaining("of ledger"),
      });
  });

  it("is replaced as a whole by a restore, keeps what it replaced until it is pruned", async () => {
    const volume = open();
    await volume.restore({ ...limit, repository: repository(), snapshot: snapshot("a", 1) });
    await writeFile(join(path, "new"), "written since");
    await volume.restore({ ...limit, repository: repository(), snapshot: snapshot("a", 1) });
    expect(await readdir(path)).toEqual(["new", "which"]);
    await volume.restore({ ...limit, repository: repository(), snapshot: snapshot("b", 2) });
    expect(await volume.inspect()).toEqual({ kind: "ours", epoch: 2, snapshot: "b" });
    expect(await readdir(path)).toEqual(["which"]);
    const beside = join(root, ".baton-data");
    const [replaced] = (await readdir(beside)).filter((name) => name.startsWith("replaced-1-"));
    expect(await readFile(join(beside, replaced ?? "", "new"), "utf8")).toBe("written since");
    expect(await volume.prune()).toBeGreaterThan(0);
    expect(await readdir(beside)).toEqual(["marker.json"]);
    expect(await which()).toBe("b");
  });

  it.each([
    ["the restore", { repository: repository({ fails: true }) }],
    ["the comparison", { repository: repository(), verify: () => Promise.reject(new Error("not the same")) }],
  ])("stays as it was when %s fails", async (_, params) => {
    const volume = open();
    await volume.restore({ ...limit, repository: repository(), snapshot: snapshot("a", 1) });
    await expect(volume.restore({ ...limit, ...params, snapshot: snapshot("b", 2) })).rejects.toThrow(
      /^(cut off|not the same)$/,
    );
    expect(await volume.inspect()).toEqual({ kind: "ours", epoch: 1, snapshot: "a" });
    expect(await which()).toBe("a");
    await volume.prune();
    await volume.restore({ ...limit, repository: repository(), snapshot: snapshot("b", 2) });
    expect(await which()).toBe("b");
  });

  it("is not writable for want of room, before anything is written", async () => {
    await expect(
      open().restore({ ...limit, repository: repository({ bytes: 2 ** 52 }), snapshot: snapshot("a", 1) }),
    ).rejects.toMatchObject({ code: "volume-space" });
    expect(await readdir(root)).toEqual([]);
  });

  it.each<[string, string, RegExp]>([
    ["outside", "/tmp/elsewhere", /outside of/],
    ["relative", "data", /no plain absolute path/],
    ["with dots", "/tmp/a/../b", /no plain absolute path/],
    ["a mount", "/proc", /outside of|mounted/],
    ["without its folder", "/nowhere/data", /is not there/],
  ])("is refused as a path that is %s", async (_, bad, why) => {
    await expect(open({ path: bad }).inspect()).rejects.toMatchObject({
      code: "volume-unfit",
      message: expect.stringMatching(why),
    });
  });

  it("is refused where something is mounted, in it too, behind a symbolic link, and for a file", async () => {
    const refusal = (changes: Parameters<typeof open>[0]) =>
      open(changes)
        .inspect()
        .catch((error: Error) => error.message);
    expect(await refusal({ path: "/proc", root: "" })).toContain("something is mounted at /proc");
    expect(await refusal({ path: "/dev", root: "" })).toContain("something is mounted at /dev");
    await mkdir(join(root, "real"));
    await symlink(join(root, "real"), join(root, "link"));
    expect(await refusal({ path: join(root, "link", "data") })).toContain("a symbolic link leads to it");
    expect(await refusal({ path: join(root, "link") })).toContain("it is no folder");
    await writeFile(path, "");
    expect(await refusal({})).toContain("it is no folder");
  });

  it("with a marker that nobody understands is nobody's to change", async () => {
    await mkdir(join(root, ".baton-data"));
    await writeFile(join(root, ".baton-data", "marker.json"), "{");
    await expect(open().inspect()).rejects.toMatchObject({ code: "volume-foreign" });
  });

  it.each(["before the first rename", "between the renames", "after the last rename"])(
    "is brought to its end when it was cut off %s",
    async (moment) => {
      const beside = join(root, ".baton-data");
      const file = join(beside, "marker.json");
      const marker = async () => JSON.parse(await readFile(file, "utf8"));
      await open().restore({ ...limit, repository: repository(), snapshot: snapshot("a", 1) });
      const { current } = await marker();
      await open().restore({ ...limit, repository: repository(), snapshot: snapshot("b", 2) });
      // What a kill there leaves, made from the whole: "b" by its own restore, the renames taken back.
      const folder = async (start: string) =>
        (await readdir(beside)).find((name) => name.startsWith(start)) ?? "";
      const stagings = (await readdir(beside)).filter((name) => name.startsWith("staging-"));
      const staging = join(stagings[0] ?? "", "elsewhere");
      const next = { ...(await marker()).current, staging };
      if (moment !== "after the last rename") await rename(path, join(beside, staging));
      if (moment === "before the first rename") await rename(join(beside, await folder("replaced-")), path);
      await writeFile(file, JSON.stringify({ ...(await marker()), current, next }));

      const volume = open();
      const kind = moment === "after the last rename" ? "ours" : "interrupted";
      expect(await volume.inspect()).toEqual({ kind, epoch: 2, snapshot: "b" });
      // What may still be needed stays.
      expect(await volume.prune()).toBe(0);
      await volume.finish();
      await volume.finish();
      expect(await volume.inspect()).toEqual({ kind: "ours", epoch: 2, snapshot: "b" });
      expect(await which()).toBe("b");
      expect(await readFile(join(beside, await folder("replaced-"), "which"), "utf8")).toBe("a");
      expect(await volume.prune()).toBeGreaterThan(0);
    },
  );

  it("is not finished over what came there meanwhile", async () => {
    const volume = open();
    await volume.restore({ ...limit, repository: repository(), snapshot: snapshot("a", 1) });
    const file = join(root, ".baton-data", "marker.json");
    const marker = JSON.parse(await readFile(file, "utf8"));
    const staging = "staging-x";
    await rename(path, join(root, ".baton-data", staging));
    await writeFile(file, JSON.stringify({ ...marker, current: null, next: { ...marker.current, staging } }));
    await mkdir(path);
    await writeFile(join(path, "precious"), "");
    await expect(volume.finish()).rejects.toMatchObject({ code: "volume-foreign" });
    expect(await readdir(path)).toEqual(["precious"]);
  });
});
