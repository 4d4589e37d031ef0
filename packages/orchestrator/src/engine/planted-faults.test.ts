import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { plantFault } from "./planted-faults.ts";

let directory: string;
let marker: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "baton-faults-"));
  marker = join(directory, "fault-happened");
});
afterEach(() => rm(directory, { recursive: true }));

const point = (step: string, phase: "do" | "undo", moment: "before" | "after") => ({
  step,
  phase,
  moment,
  attempt: 1,
});

describe("a planted fault", () => {
  it("happens at its point, once, over restarts too", async () => {
    const faults = plantFault("fail@migrate.stop", marker)("migrate");
    await faults.reach(point("stop", "do", "before"));
    await faults.reach(point("stop", "undo", "after"));
    await faults.reach(point("start", "do", "after"));
    await expect(faults.reach(point("stop", "do", "after"))).rejects.toMatchObject({
      code: "injected-fault",
    });
    await faults.reach(point("stop", "do", "after"));
    await plantFault("fail@migrate.stop", marker)("migrate").reach(point("stop", "do", "after"));
  });

  it("is in one kind of operation only", async () => {
    await plantFault("fail@deploy.start", marker)("migrate").reach(point("start", "do", "after"));
    const faults = plantFault("fail@deploy.start", marker)("deploy");
    await expect(faults.reach(point("start", "do", "after"))).rejects.toMatchObject({
      code: "injected-fault",
    });
  });

  it.each(["fail@stop.release", "fail@start.handOver", "fail@delete.retire"])(
    "may be in whatever kind there is: %s",
    async (specification) => {
      const [, kind = "", step = ""] = /@(.*)\.(.*)/.exec(specification) ?? [];
      const faults = plantFault(specification, marker)(kind);
      await expect(faults.reach(point(step, "do", "after"))).rejects.toMatchObject({
        code: "injected-fault",
      });
    },
  );

  it.each([
    ["fail@migrate.stop:before", point("stop", "do", "before")],
    ["fail@migrate.stop:after", point("stop", "do", "after")],
    ["fail@migrate.stop:undo", point("stop", "undo", "after")],
  ] as const)("%s is where it says", async (specification, at) => {
    const faults = plantFault(specification, marker)("migrate");
    await expect(faults.reach(at)).rejects.toMatchObject({ code: "injected-fault" });
  });

  it.each([
    "",
    "fail",
    "fail@migrate",
    "fail@migrate.",
    "crash@migrate.stop",
    "fail@drain.stop",
    "fail@toString.stop",
    "fail@migrate.stop:never",
  ])("%j is none", (specification) => {
    expect(() => plantFault(specification, marker)).toThrow(
      expect.objectContaining({
        code: "invalid-configuration",
        message: expect.stringContaining("fail@migrate.STEP"),
      }),
    );
  });

  it("names the steps there are where it is to be in another", () => {
    expect(() => plantFault("kill@migrate.halt", marker)).toThrow(
      expect.objectContaining({
        code: "invalid-configuration",
        message: expect.stringContaining(
          "preflight, prepare, stop, fence, handOver, start, verify, commit, retire",
        ),
      }),
    );
  });
});
