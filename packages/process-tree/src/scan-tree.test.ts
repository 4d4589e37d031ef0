import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { endFixtures, startFixture, startProgram, until } from "./fixtures/start-fixture.ts";
import type { Fixture } from "./fixtures/start-fixture.ts";
import { writeZombieLeader } from "./fixtures/zombie-leader.ts";
import { isAlive } from "./process-identity.ts";
import type { ProcessIdentity } from "./process-identity.ts";
import { readStat } from "./process-stat.ts";
import type { ScanTreeOptions, TreeScan } from "./scan-facts.ts";
import { scanTree } from "./scan-tree.ts";
import { signalTree } from "./signal-process.ts";

const NAME = "TREE_COOKIE";
let value: string;
let folder: string;

beforeEach(async () => {
  value = randomUUID();
  folder = await mkdtemp(join(tmpdir(), "process-tree-"));
});

afterEach(async () => {
  await endFixtures();
  await rm(folder, { recursive: true });
});

const start = (name: string, ...args: string[]): Promise<Fixture> =>
  startFixture(name, { [NAME]: value }, ...args);

/** No fixture changes its user, so what other users start meanwhile must not disturb. */
const scan = (options: Partial<ScanTreeOptions> = {}): Promise<TreeScan> =>
  scanTree({
    cookie: { name: NAME, value },
    roots: [],
    exclude: [process.pid],
    noNewPrivileges: true,
    ...options,
  });

const found = (result: TreeScan): Record<number, string> =>
  Object.fromEntries(result.members.map(({ pid, foundBy }) => [pid, foundBy]));

const environmentOf = ({ pid }: ProcessIdentity): string => readFileSync(`/proc/${pid}/environ`, "utf8");

async function kill(...processes: ProcessIdentity[]): Promise<void> {
  await signalTree(processes, "SIGKILL");
  for (const identity of processes)
    await until(async () => !(await isAlive(identity)), "the process is dead");
}

describe("scanTree", () => {
  it("finds a daemon that left its session and its parent by the cookie alone", async () => {
    const { root, find } = await start("daemon.sh");
    const daemon = await find("daemon");
    await kill(root);
    const result = await scan({ roots: [root], since: root.startTime });
    expect(result.members).toMatchObject([{ ...daemon, foundBy: "cookie" }]);
    expect(Math.abs(Date.parse(result.scannedAt) - Date.now())).toBeLessThan(5_000);
  });

  it("settles once no process comes or goes, and says that all could be read", async () => {
    const { root } = await start("daemon.sh");
    const result = (): Promise<TreeScan> => scan({ roots: [root], since: root.startTime });
    await expect.poll(result, { timeout: 5_000 }).toMatchObject({ settled: true, unreadable: [] });
  });

  it("finds the tree without roots and without its age", async () => {
    const { root, find } = await start("daemon.sh");
    const daemon = await find("daemon");
    expect(found(await scan())).toEqual({ [root.pid]: "cookie", [daemon.pid]: "cookie" });
  });

  it("finds nothing of a cookie that only begins, ends or is named alike", async () => {
    for (const env of [
      { [NAME]: `${value}x` },
      { [NAME]: `x${value}` },
      { [`X${NAME}`]: value },
      { OTHER: `x ${NAME}=${value}` },
    ]) {
      await startProgram("sleep", ["300"], { env: { PATH: process.env["PATH"], ...env } });
    }
    expect((await scan()).members).toEqual([]);
  });

  it("finds a child without environment by its parent", async () => {
    const { root, find } = await start("cleared.sh");
    const child = await find("child");
    await until(() => environmentOf(child) === "", "the environment is cleared");
    const result = await scan({ roots: [root], since: root.startTime });
    expect(found(result)).toEqual({ [root.pid]: "root", [child.pid]: "parent" });
    expect(result.members.find(({ pid }) => pid === child.pid)?.session).toBe(child.pid);
  });

  it("finds an orphan without the cookie by the session, also when its leader is dead", async () => {
    const { root, find } = await start("orphan.sh");
    const orphan = await find("orphan");
    await until(() => environmentOf(orphan) === "OTHER=1\0", "the environment is cleared");
    expect(found(await scan({ roots: [root] }))).toEqual({ [root.pid]: "root", [orphan.pid]: "session" });
    await kill(root);
    expect(found(await scan({ roots: [root] }))).toEqual({ [orphan.pid]: "session" });
  });

  it("takes neither a stranger with a root's pid nor the stranger's session for the tree's", async () => {
    const { root, find } = await startFixture("orphan.sh", {});
    await find("orphan");
    const former = { ...root, startTime: String(BigInt(root.startTime) - 1n) };
    expect((await scan({ roots: [former] })).members).toEqual([]);
    expect((await scan({ roots: [{ ...root, bootId: "another" }] })).members).toEqual([]);
  });

  it("never takes an excluded process, nor its session, nor its other children", async () => {
    const { root, find } = await start("orphan.sh");
    const orphan = await find("orphan");
    const stranger = await startProgram("sleep", ["300"], {});
    await until(() => environmentOf(orphan) === "OTHER=1\0", "the environment is cleared");
    const { root: child } = await startProgram("sleep", ["300"], { env: { [NAME]: value } });

    const result = await scan({ roots: [root, child], exclude: [process.pid, root.pid] });
    expect(found(result)).toEqual({ [child.pid]: "root" });
    expect(found(result)).not.toHaveProperty(String(stranger.root.pid));
  });

  it("does not count a zombie", async () => {
    const { root, find } = await start("zombie.sh");
    const zombie = await find("zombie");
    await until(async () => (await readStat(zombie.pid))?.state === "Z", "the child is a zombie");
    expect(found(await scan({ roots: [root, zombie] }))).toEqual({ [root.pid]: "root" });
  });

  it.runIf(process.arch === "x64")(
    "counts a zombie leader whose thread runs, by the thread's cookie",
    async () => {
      await writeZombieLeader(join(folder, "leader"));
      const { root } = await startProgram(join(folder, "leader"), [], { env: { [NAME]: value } });
      await until(async () => (await readStat(root.pid))?.state === "Z", "the leader is a zombie");
      expect(await scan()).toMatchObject({
        members: [{ ...root, state: "Z", threads: 2, foundBy: "cookie" }],
      });
    },
  );

  it("reads a process that is named like a zombie's state", async () => {
    const { root, find } = await start("bad-name.sh");
    const child = await find("child");
    expect(found(await scan({ since: root.startTime }))).toEqual({
      [root.pid]: "cookie",
      [child.pid]: "cookie",
    });
  });

  it("finds the new child of a respawner", async () => {
    const { root, find } = await start("respawner.sh");
    const first = await find("child");
    await kill(first);
    await until(async () => (await find("child")).pid !== first.pid, "the child is started again");
    const second = await find("child");
    expect(found(await scan({ roots: [root, first] }))).toEqual({
      [root.pid]: "root",
      [second.pid]: "parent",
    });
  });

  it("does not look at processes that are older than the tree", async () => {
    const { root } = await start("daemon.sh");
    expect(await scan({ since: String(BigInt(root.startTime) + 1_000_000n) })).toMatchObject({ members: [] });
  });

  it("never concludes that nothing is left while a process passes itself on", async () => {
    const alive = join(folder, "alive");
    const { root } = await startProgram(
      "sh",
      [
        "-c",
        `: > ${alive}; sh "$0" ${alive}; exec sleep 300`,
        new URL("fixtures/hopper.sh", import.meta.url).pathname,
      ],
      { env: { PATH: process.env["PATH"], [NAME]: value }, detached: true },
    );
    // The file alone says only that it may begin: killed before its first child, the root leaves nothing.
    await until(async () => (await scan({ since: root.startTime })).members.length > 1, "the hopping begins");
    await kill(root);
    const isEmpty = async (): Promise<boolean> => {
      const { members, unreadable, settled } = await scan({ since: root.startTime });
      return settled && members.length === 0 && unreadable.length === 0;
    };
    try {
      for (let round = 0; round < 8; round++) expect(await isEmpty()).toBe(false);
    } finally {
      await rm(alive);
    }
    await until(isEmpty, "the hopping ends");
  });

  it("refuses a cookie that no environment can hold or that any would match", async () => {
    for (const cookie of [
      { name: "", value: "x" },
      { name: "A", value: "" },
      { name: "A=B", value: "x" },
      { name: "A", value: "x\0y" },
    ]) {
      await expect(scan({ cookie })).rejects.toThrow(TypeError);
    }
  });
});
