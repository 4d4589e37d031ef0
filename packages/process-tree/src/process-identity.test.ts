import { readFile } from "node:fs/promises";
import { afterEach, describe, expect, it } from "vitest";
import { endFixtures, startFixture, startProgram, until } from "./fixtures/start-fixture.ts";
import { identify, isAlive, readBootId } from "./process-identity.ts";
import { readStat } from "./process-stat.ts";

afterEach(endFixtures);

describe("readBootId", () => {
  it("gives the kernel's id of this boot", async () => {
    expect(await readBootId()).toBe((await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim());
  });
});

describe("identify", () => {
  it("names a process by pid, start time and boot", async () => {
    const stat = await readStat(process.pid);
    expect(await identify(process.pid)).toEqual({
      pid: process.pid,
      startTime: stat?.startTime,
      bootId: await readBootId(),
    });
  });

  it("gives null once the process is gone", async () => {
    const { root } = await startProgram("sleep", ["300"], {});
    process.kill(root.pid, "SIGKILL");
    await expect.poll(() => identify(root.pid)).toBeNull();
  });
});

describe("isAlive", () => {
  it("is true for a running and for a stopped process, false for a dead one", async () => {
    const { root } = await startProgram("sleep", ["300"], {});
    expect(await isAlive(root)).toBe(true);
    process.kill(root.pid, "SIGSTOP");
    await until(async () => (await readStat(root.pid))?.state === "T", "the process is stopped");
    expect(await isAlive(root)).toBe(true);
    process.kill(root.pid, "SIGKILL");
    await until(async () => !(await isAlive(root)), "the process is dead");
  });

  it("is false for a zombie that nobody reaps", async () => {
    const zombie = await (await startFixture("zombie.sh", {})).find("zombie");
    await until(async () => !(await isAlive(zombie)), "the child is dead");
    expect(await identify(zombie.pid)).toEqual(zombie);
  });

  it("is false for an earlier holder of the pid and for another boot", async () => {
    const { root } = await startProgram("sleep", ["300"], {});
    expect(await isAlive({ ...root, startTime: String(BigInt(root.startTime) - 1n) })).toBe(false);
    expect(await isAlive({ ...root, bootId: "00000000-0000-0000-0000-000000000000" })).toBe(false);
  });

  it("is true for a process that belongs to somebody else", async () => {
    const init = await identify(1);
    expect(init !== null && (await isAlive(init))).toBe(true);
  });
});
