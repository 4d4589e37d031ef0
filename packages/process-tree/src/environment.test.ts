import { readdirSync } from "node:fs";
import { afterEach, describe, expect, it } from "vitest";
import { searchCookie } from "./environment.ts";
import { endFixtures, startProgram, until } from "./fixtures/start-fixture.ts";
import { readStatNow } from "./process-stat.ts";
import type { ProcessStat } from "./process-stat.ts";

afterEach(endFixtures);

const cookie = { name: "TREE_COOKIE", value: "a=b c" };

async function startWith(env: NodeJS.ProcessEnv): Promise<ProcessStat> {
  const { root } = await startProgram("/bin/sleep", ["300"], { env });
  const stat = readStatNow(root.pid);
  if (stat === null) throw new Error("cannot find the program: it ended");
  return stat;
}

const kernelThread = readdirSync("/proc")
  .filter((name) => /^\d+$/.test(name))
  .map((name) => readStatNow(Number(name)))
  .filter((stat) => stat !== null)
  .find((stat) => stat.kernelThread);

describe("searchCookie", () => {
  it("finds the entry wherever it stands", async () => {
    const entry = { [cookie.name]: cookie.value };
    for (const env of [entry, { A: "1", ...entry }, { ...entry, Z: "1" }, { A: "1", ...entry, Z: "1" }]) {
      expect(searchCookie(await startWith(env), cookie)).toEqual({ kind: "borne" });
    }
  });

  it("finds nothing in another environment", async () => {
    for (const env of [{ A: "1" }, { [cookie.name]: "a=b" }]) {
      expect(searchCookie(await startWith(env), cookie)).toEqual({ kind: "absent" });
    }
  });

  it("cannot tell from an environment without any variable, which may have been cleared or overwritten", async () => {
    const search = searchCookie(await startWith({}), cookie);
    expect(search).toEqual({ kind: "unreadable", reason: "overwritten" });
  });

  it("says that the process ended meanwhile", async () => {
    const stat = await startWith({});
    process.kill(stat.pid, "SIGKILL");
    await until(() => readStatNow(stat.pid) === null, "the process is reaped");
    expect(searchCookie(stat, cookie)).toEqual({ kind: "vanished" });
  });

  /** As a process within an exec or at its exit, a kernel thread lives and has no environment in place. */
  it.runIf(kernelThread !== undefined && process.getuid?.() === 0)(
    "never takes an environment that is not in place for one without the entry",
    () => {
      if (kernelThread === undefined) return;
      expect(searchCookie(kernelThread, cookie)).toEqual({ kind: "unreadable", reason: "not-in-place" });
    },
  );
});
