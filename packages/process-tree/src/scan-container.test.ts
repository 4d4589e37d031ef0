import { afterEach, describe, expect, it } from "vitest";
import { containerOf } from "./container.ts";
import { endFixtures, startProgram } from "./fixtures/start-fixture.ts";
import { scanContainer } from "./scan-container.ts";

afterEach(endFixtures);

/** All of this machine is one container to itself; pods are seen in test/containers. */
const here = containerOf("self") ?? "";

describe("scanContainer", () => {
  it("finds what lives in it, and never PID 1 or the excluded", async () => {
    const { root } = await startProgram("sleep", ["300"], {});
    const scan = await scanContainer({ container: here, main: process.pid, exclude: [process.pid] });
    const pids = scan.members.map(({ pid }) => pid);
    expect(pids).toContain(root.pid);
    expect(scan.members.find(({ pid }) => pid === root.pid)).toMatchObject({ foundBy: "container", ...root });
    expect(pids).not.toContain(1);
    expect(pids).not.toContain(process.pid);
  });

  it("finds nothing of another one", async () => {
    await startProgram("sleep", ["300"], {});
    const scan = await scanContainer({ container: "/../elsewhere", main: 1, exclude: [] });
    expect(scan.members).toEqual([]);
  });
});
