import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { identify } from "@baton/process-tree";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { lockStateDirectory } from "./lock.ts";

let directory: string;
let path: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "baton-lock-"));
  path = join(directory, "lock");
});
afterEach(() => rm(directory, { recursive: true, force: true }));

describe("the lock of a state directory", () => {
  it("is taken over from a dead holder, also one whose process id was given again", async () => {
    const own = await identify(process.pid);
    for (const dead of [
      { ...own, startTime: "1" },
      { ...own, bootId: "another-boot" },
    ]) {
      await writeFile(path, JSON.stringify(dead));
      const lock = await lockStateDirectory(path);
      expect(JSON.parse(await readFile(path, "utf8"))).toEqual(own);
      await lock.release();
      expect(await readdir(directory)).toEqual([]);
    }
  });

  it("is refused while its holder lives", async () => {
    const lock = await lockStateDirectory(path);
    await expect(lockStateDirectory(path)).rejects.toMatchObject({ code: "in-use" });
    await lock.release();
  });
});
