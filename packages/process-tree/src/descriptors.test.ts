import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { readDescriptors } from "./descriptors.ts";
import { endFixtures, startProgram, until } from "./fixtures/start-fixture.ts";
import { writeZombieLeader } from "./fixtures/zombie-leader.ts";
import { identify } from "./process-identity.ts";
import { readStatNow } from "./process-stat.ts";
import type { ProcessStat } from "./process-stat.ts";

afterEach(endFixtures);

function statOf(pid: number): ProcessStat {
  const stat = readStatNow(pid);
  if (stat === null) throw new Error("cannot find the program: it ended");
  return stat;
}

describe("readDescriptors", () => {
  it("gives what a process has open", async () => {
    const { root } = await startProgram("sleep", ["300"], {});
    expect(readDescriptors(statOf(root.pid))).toMatchObject({
      kind: "read",
      descriptors: expect.arrayContaining([{ path: `/proc/${root.pid}/fd/0`, target: "/dev/null" }]),
    });
  });

  it("says that the process ended, or that another has its number", async () => {
    const { root } = await startProgram("sleep", ["300"], {});
    const stat = statOf(root.pid);
    const former = { ...stat, startTime: String(BigInt(stat.startTime) - 1n) };
    expect(readDescriptors(former)).toEqual({ kind: "vanished" });
    process.kill(root.pid, "SIGKILL");
    await until(async () => (await identify(root.pid)) === null, "the process is reaped");
    expect(readDescriptors(stat)).toEqual({ kind: "vanished" });
  });

  it.runIf(process.arch === "x64")("sees what the thread of a zombie leader holds", async () => {
    const folder = await mkdtemp(join(tmpdir(), "process-tree-"));
    try {
      await writeZombieLeader(join(folder, "leader"));
      const { root } = await startProgram(join(folder, "leader"), [], {});
      await until(() => statOf(root.pid).state === "Z", "the leader is a zombie");
      const open = readDescriptors(statOf(root.pid));
      expect(open.kind === "read" && open.descriptors.map(({ target }) => target)).toContain("/dev/null");
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
