import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { endFixtures, startFixture, startProgram, until } from "./fixtures/start-fixture.ts";
import { writeZombieLeader } from "./fixtures/zombie-leader.ts";
import { isDead, parseStat, readStat } from "./process-stat.ts";

afterEach(endFixtures);

/** Fields 3 to 52, each its own number unless said otherwise. */
function statLine(pid: number, comm: string, fields: Readonly<Record<number, string | number>>): string {
  const values = Array.from({ length: 50 }, (_, index) => fields[index + 3] ?? index + 3);
  return `${pid} (${comm}) ${values.join(" ")}\n`;
}

describe("parseStat", () => {
  it("reads every field whatever the process calls itself", () => {
    const comm = fc.oneof(
      fc.string({ unit: "binary", maxLength: 15 }),
      fc.stringMatching(/^[() Z0-9\n]{0,15}$/),
    );
    fc.assert(
      fc.property(
        comm,
        fc.integer({ min: 1, max: 2 ** 22 }),
        fc.constantFrom("R", "S", "D", "T", "t", "Z", "X", "I"),
        fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        fc.integer({ min: 0, max: 2 ** 32 - 1 }),
        (name, pid, state, startTime, flags) => {
          const stat = parseStat(statLine(pid, name, { 3: state, 8: -1, 9: flags, 22: String(startTime) }));
          expect(stat).toEqual({
            pid,
            comm: name,
            state,
            ppid: 4,
            processGroup: 5,
            session: 6,
            startTime: String(startTime),
            threads: 20,
            kernelThread: Math.floor(flags / 0x00200000) % 2 === 1,
            environmentPlaced: true,
          });
        },
      ),
    );
  });

  it("throws for a text that is not of this form, instead of guessing", () => {
    const whole = statLine(7, "sh", { 3: "S" });
    const cut = Array.from({ length: whole.indexOf(" 51 ") + 3 }, (_, length) => whole.slice(0, length));
    const wrong = ["x", "", "-", "--1", "1-", "1.5", "0x1"].map((value) =>
      statLine(7, "sh", { 3: "S", 22: value }),
    );
    for (const text of ["7 sh S 1", "7 ) S ( S", "x (sh) S 1", "7 (sh) 1 1", ...cut, ...wrong])
      expect(() => parseStat(text)).toThrow("cannot read a process's stat");
  });

  it("sees that no environment is in place", () => {
    expect(parseStat(statLine(7, "sh", { 3: "R", 51: 0 })).environmentPlaced).toBe(false);
  });
});

describe("readStat", () => {
  it("agrees with what Node knows of itself", async () => {
    const stat = await readStat(process.pid);
    expect(stat).toMatchObject({
      pid: process.pid,
      ppid: process.ppid,
      kernelThread: false,
      environmentPlaced: true,
    });
    expect(stat?.threads).toBeGreaterThan(1);
  });

  it("is not misled by a name that reads like a zombie's state", async () => {
    const fixture = await startFixture("bad-name.sh", {});
    const { pid } = await fixture.find("named");
    const stat = await readStat(pid);
    expect(stat).toMatchObject({ pid, comm: ") Z 1 (", ppid: process.pid, session: pid, processGroup: pid });
    expect(stat).not.toMatchObject({ state: "Z" });
  });

  it("gives null for a process that is gone, and throws for what is no process id", async () => {
    const { root } = await startProgram("sleep", ["300"], {});
    process.kill(root.pid, "SIGKILL");
    await until(async () => (await readStat(root.pid)) === null, "the process is reaped");
    for (const pid of [0, -1, 1.5, Number.NaN])
      await expect(readStat(pid)).rejects.toThrow("a process id is");
  });
});

describe("isDead", () => {
  it("takes a zombie as dead", async () => {
    const { pid } = await (await startFixture("zombie.sh", {})).find("zombie");
    await until(async () => (await readStat(pid))?.state === "Z", "the child is a zombie");
    const stat = await readStat(pid);
    expect(stat?.threads).toBe(1);
    expect(stat !== null && isDead(stat)).toBe(true);
  });

  it.runIf(process.arch === "x64")("takes a zombie leader as alive while a thread of it runs", async () => {
    const folder = await mkdtemp(join(tmpdir(), "process-tree-"));
    try {
      await writeZombieLeader(join(folder, "leader"));
      const { root } = await startProgram(join(folder, "leader"), [], {});
      await until(async () => (await readStat(root.pid))?.state === "Z", "the leader is a zombie");
      const stat = await readStat(root.pid);
      expect(stat?.threads).toBe(2);
      expect(stat !== null && isDead(stat)).toBe(false);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
