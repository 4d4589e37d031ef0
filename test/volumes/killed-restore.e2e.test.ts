import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { compareTrees, openVolumeDirectory, treeEntries } from "@baton/volumes";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { limit, missing, needs, openVolumeBed, type VolumeBed } from "./volume-bed.ts";

const kills = Number(process.env["BATON_VOLUME_KILLS"] ?? 8);

describe("a restore that is killed", { skip: missing, meta: { needs } }, () => {
  let bed: VolumeBed;
  beforeAll(async () => {
    bed = await openVolumeBed();
  });
  afterAll(() => bed.close());

  it(`leaves the old volume or the new one, whole, at ${kills} moments`, async () => {
    const repository = await bed.open();
    await repository.init(limit);
    const sources = [0, 1].map((at) => join(bed.directory, `source-${at}`));
    const snapshots = [];
    for (const [epoch, path] of sources.entries()) {
      await mkdir(path);
      for (let at = 0; at < 200; at += 1)
        await writeFile(join(path, `file-${at}`), `${epoch} `.repeat(4000 + at));
      const taken = await repository.backup({
        ...limit,
        path,
        volume: "data",
        epoch,
        kind: "final",
        exclude: [],
      });
      snapshots.push(taken.snapshot);
    }
    const root = await mkdtemp(join(bed.directory, "root-"));
    const directory = { path: join(root, "data"), root, application: "ledger", volume: "data" };
    const volume = openVolumeDirectory(directory);
    const began = performance.now();
    await volume.restore({ ...limit, repository, snapshot: snapshots[0]! });
    const wholeMs = performance.now() - began + 500;

    for (let at = 0; at < kills; at += 1) {
      const state = await volume.inspect();
      const snapshot = snapshots[state.kind === "ours" && state.epoch === 0 ? 1 : 0]!;
      const parameters = join(bed.directory, "parameters.json");
      await writeFile(parameters, JSON.stringify({ options: bed.options, directory, snapshot }));
      const program = join(import.meta.dirname, "fixtures/restore-volume.ts");
      const child = spawn(process.execPath, [program, parameters], { stdio: "ignore" });
      const ended = once(child, "exit");
      await Promise.race([sleep(Math.random() * wholeMs), ended]);
      child.kill("SIGKILL");
      await ended;

      await volume.finish();
      const after = await volume.inspect();
      expect(after.kind).toBe("ours");
      if (after.kind !== "ours") return;
      const entries = (path: string) => treeEntries({ root: path, exclude: [], contents: true });
      const difference = await compareTrees(entries(sources[after.epoch]!), entries(directory.path), {
        limit: 5,
        sparse: false,
      });
      expect(difference).toEqual({ count: 0, first: [] });
      expect(after.snapshot).toBe(snapshots[after.epoch]!.id);
      await volume.prune();
    }
  });
});
