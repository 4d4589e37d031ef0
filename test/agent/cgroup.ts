/** Control groups of the tests' own: what the kernel does to processes, and no signal can. */
import { existsSync } from "node:fs";
import { mkdir, readFile, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach } from "vitest";
import { isRoot } from "./needs.ts";
import { until } from "./run-bed.ts";

export interface Cgroup {
  /** For a script: whoever runs it and all that come of it are in the group from here on. */
  readonly enter: string;
  set(file: string, value: string | number): Promise<void>;
  get(file: string): Promise<string>;
}

const hierarchies = "/sys/fs/cgroup";

/** Only version 1 keeps the frozen from SIGKILL; in version 2 it ends them. */
export const canFreeze = isRoot && existsSync(join(hierarchies, "freezer/cgroup.procs"));
export const freezer = { part: "freezer", reason: "no freezer cgroup (version 1) can be made here" };

const cpuFirst = join(hierarchies, "cpu/cpu.cfs_quota_us");
const cpuSecond = join(hierarchies, "cgroup.subtree_control");
export const canStarve = isRoot && (existsSync(cpuFirst) || existsSync(cpuSecond));
export const cpuGroups = { part: "cgroups", reason: "no cpu cgroup can be made here" };

const periodUs = 100_000;
let count = 0;

/** To be called after the bed: what is frozen thaws before the bed ends it. */
export function useCgroups() {
  const paths: string[] = [];
  const frozen: Cgroup[] = [];
  const make = async (hierarchy: string): Promise<Cgroup> => {
    count += 1;
    const path = join(hierarchies, hierarchy, `baton-test-${process.pid}-${count}`);
    await mkdir(path);
    paths.push(path);
    return {
      enter: `echo $$ > ${path}/cgroup.procs`,
      set: (file, value) => writeFile(join(path, file), String(value)),
      get: async (file) => (await readFile(join(path, file), "utf8")).trim(),
    };
  };
  const thaw = (group: Cgroup): Promise<void> => group.set("freezer.state", "THAWED");
  afterEach(async () => {
    await Promise.all(frozen.splice(0).map(thaw));
  });
  afterAll(async () => {
    for (const path of paths.splice(0))
      await until(`${path} is empty`, () =>
        rmdir(path).then(
          () => true,
          () => false,
        ),
      );
  }, 90_000);

  return {
    /** Its members can be kept in state D, where SIGKILL waits like any other signal. */
    async freezer(): Promise<Cgroup & { freeze(): Promise<void>; thaw(): Promise<void> }> {
      const group = await make("freezer");
      frozen.push(group);
      return {
        ...group,
        async freeze() {
          await group.set("freezer.state", "FROZEN");
          await until("all are frozen", async () => (await group.get("freezer.state")) === "FROZEN");
        },
        thaw: () => thaw(group),
      };
    },
    /** Its members get a share of one core, together. */
    async cpu(cores: number): Promise<Cgroup & { limit(cores: number): Promise<void> }> {
      const isFirst = existsSync(cpuFirst);
      if (!isFirst) await writeFile(cpuSecond, "+cpu");
      const group = await make(isFirst ? "cpu" : "");
      const limit = (of: number): Promise<void> =>
        isFirst
          ? group.set("cpu.cfs_quota_us", of * periodUs)
          : group.set("cpu.max", `${of * periodUs} ${periodUs}`);
      if (isFirst) await group.set("cpu.cfs_period_us", periodUs);
      await limit(cores);
      return { ...group, limit };
    },
  };
}
