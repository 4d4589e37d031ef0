import { afterEach, describe, expect, it } from "vitest";
import { lookAsUser, NOBODY } from "./fixtures/look.ts";
import { rootOnly } from "./fixtures/root-only.ts";
import { endFixtures, startFixture, startProgram, until } from "./fixtures/start-fixture.ts";
import { isAlive } from "./process-identity.ts";
import { readStat } from "./process-stat.ts";
import { signalProcess, signalTree } from "./signal-process.ts";

afterEach(endFixtures);

describe("signalProcess", () => {
  it("ends the very process that was named", async () => {
    const { root } = await startProgram("sleep", ["300"], {});
    expect(await signalProcess(root, "SIGTERM")).toBe("sent");
    await until(async () => !(await isAlive(root)), "the process is dead");
    expect(await signalProcess(root, "SIGTERM")).toBe("gone");
  });

  it("sends a real-time signal by its number", async () => {
    const { root, find } = await startProgram(
      "bash",
      [
        "-c",
        'trap "sleep 300 & echo caught \\$!" RTMIN+3; sleep 300 & echo ready $!; while :; do wait; done',
      ],
      {},
    );
    await find("ready");
    expect(await signalProcess(root, 37)).toBe("sent");
    await find("caught");
  });

  it("refuses a number that is no signal", async () => {
    const { root } = await startProgram("sleep", ["300"], {});
    for (const signal of [0, -15, 65, 1.5, Number.NaN]) {
      await expect(signalProcess(root, signal)).rejects.toThrow(RangeError);
      await expect(signalTree([root], signal)).rejects.toThrow(RangeError);
    }
    expect(await isAlive(root)).toBe(true);
  });

  it("spares a stranger that was given the pid", async () => {
    const { root } = await startProgram("sleep", ["300"], {});
    const former = { ...root, startTime: String(BigInt(root.startTime) - 1n) };
    expect(await signalProcess(former, "SIGKILL")).toBe("gone");
    expect(await isAlive(root)).toBe(true);
  });

  it("says of a zombie that it is gone", async () => {
    const zombie = await (await startFixture("zombie.sh", {})).find("zombie");
    await until(async () => !(await isAlive(zombie)), "the child is dead");
    expect(await signalProcess(zombie, "SIGTERM")).toBe("gone");
  });

  it("never signals a group: 0 and negative numbers are refused", async () => {
    const { root } = await startProgram("sleep", ["300"], {});
    for (const pid of [0, -1, -root.pid]) {
      await expect(signalProcess({ ...root, pid }, "SIGKILL")).rejects.toThrow(RangeError);
    }
    expect(await isAlive(root)).toBe(true);
  });

  it("throws EPERM for a process that we may not signal", rootOnly, async () => {
    const { root } = await startProgram("sleep", ["300"], {});
    const answer = await lookAsUser({ uid: NOBODY, signal: root });
    expect(answer.error?.code).toBe("EPERM");
    expect(await isAlive(root)).toBe(true);
  });
});

describe("signalTree", () => {
  it("signals all and says which were gone already", async () => {
    const { root: first } = await startProgram("sleep", ["300"], {});
    const { root: second } = await startProgram("sleep", ["300"], {});
    const former = { ...second, startTime: String(BigInt(second.startTime) - 1n) };
    expect(await signalTree([first, former, second], "SIGTERM")).toEqual({
      sent: [first, second],
      gone: [former],
    });
    await until(async () => !(await isAlive(first)) && !(await isAlive(second)), "both are dead");
  });

  it("wakes those that are stopped, if it shall", async () => {
    const { root: stopped } = await startProgram("sleep", ["300"], {});
    await signalProcess(stopped, "SIGSTOP");
    await until(async () => (await readStat(stopped.pid))?.state === "T", "the process is stopped");
    await signalTree([stopped], "SIGTERM");
    expect(await isAlive(stopped)).toBe(true);
    expect(await signalTree([stopped], "SIGTERM", { wake: true })).toEqual({ sent: [stopped], gone: [] });
    await until(async () => !(await isAlive(stopped)), "the process is dead");
  });

  it("lets other work go on while it signals many", async () => {
    const { root } = await startProgram("sleep", ["300"], {});
    const former = { ...root, startTime: String(BigInt(root.startTime) - 1n) };
    let turns = 0;
    const others = setInterval(() => turns++, 0);
    const { gone } = await signalTree(
      Array.from({ length: 1_000 }, () => former),
      "SIGTERM",
    );
    clearInterval(others);
    expect(gone).toHaveLength(1_000);
    expect(turns).toBeGreaterThan(0);
  });

  it("goes on after a refusal, then names who refused", async () => {
    const { root } = await startProgram("sleep", ["300"], {});
    const impossible = { ...root, pid: -7 };
    await expect(signalTree([impossible, root], "SIGTERM")).rejects.toThrow("cannot send SIGTERM to -7");
    await until(async () => !(await isAlive(root)), "the other is dead");
  });
});
