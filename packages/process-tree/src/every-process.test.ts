import { spawn } from "node:child_process";
import { afterEach, describe, expect, it } from "vitest";
import { visitProcesses } from "./every-process.ts";
import { endFixtures, startFixture, startProgram, until } from "./fixtures/start-fixture.ts";
import { isAliveNow } from "./process-identity.ts";

afterEach(endFixtures);

describe("visitProcesses", () => {
  it("shows every living process once, and no dead one", async () => {
    const { root, find } = await startFixture("zombie.sh", {});
    const zombie = await find("zombie");
    await until(() => !isAliveNow(zombie), "the child is dead");
    const pids: number[] = [];
    expect(await visitProcesses(({ pid }) => pids.push(pid) > 0)).toBe(true);
    expect(pids).toEqual([...new Set(pids)]);
    expect(pids).toEqual(expect.arrayContaining([1, process.pid, root.pid]));
    expect(pids).not.toContain(zombie.pid);
  });

  it("shows what is born meanwhile", async () => {
    let child: number | undefined;
    const pids: number[] = [];
    await visitProcesses(({ pid }) => {
      child ??= spawn("sleep", ["1"], { stdio: "ignore" }).pid;
      return pids.push(pid) > 0;
    });
    expect(pids).toContain(child);
  });

  it("does not conclude while one cannot be read to its end", async () => {
    const { root } = await startProgram("sleep", ["300"], {});
    expect(await visitProcesses(({ pid }) => pid !== root.pid)).toBe(false);
  });
});
