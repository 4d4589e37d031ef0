import { afterEach, describe, expect, it } from "vitest";
import { type Bed, createBed } from "./fixtures/agent-bed.ts";

let bed: Bed;
afterEach(() => bed.end());

const sh = (script: string, timeoutMs = 5_000) => ({ command: ["sh", "-c", script], timeoutMs });

describe("a check of the running application", () => {
  it("runs in its environment, and says how it ended", async () => {
    const checks = [sh('test "$SECRET" = hidden'), sh("echo no rows; exit 3"), sh("sleep 60", 200)];
    bed = await createBed({ config: { checks } });
    const { run, epoch } = await bed.run({ environment: { SECRET: "hidden" } });
    expect(await bed.postCheck({ run, epoch, check: 0 })).toMatchObject({
      status: 200,
      body: { result: "done", detail: null },
    });
    expect(await bed.postCheck({ run, epoch, check: 1 })).toMatchObject({
      status: 200,
      body: { result: "failed", detail: expect.stringContaining("no rows") as string },
    });
    expect(await bed.postCheck({ run, epoch, check: 2 })).toMatchObject({
      status: 200,
      body: { result: "late" },
    });
    expect(await bed.status()).toMatchObject({ state: "running", ready: true });
    expect(await bed.effects()).toEqual(["exec"]);
  });

  it("is refused where there is none of that number, for another run or epoch, and when nothing runs", async () => {
    bed = await createBed({ config: { checks: [sh("true")] } });
    const { run, epoch } = await bed.run();
    const refused = async (params: Parameters<Bed["postCheck"]>[0]) => {
      const { status, body } = await bed.postCheck(params);
      return [status, (body as { code: string }).code];
    };
    expect(await refused({ run, epoch, check: 1 })).toEqual([404, "not-found"]);
    const other = { ...run, counter: run.counter + 1 };
    expect(await refused({ run: other, epoch, check: 0 })).toEqual([409, "wrong-state"]);
    expect(await refused({ run, epoch: epoch - 1, check: 0 })).toEqual([403, "stale-epoch"]);
    const { key } = await bed.postStop({ run, epoch });
    await bed.receipt(key);
    expect(await refused({ run, epoch, check: 0 })).toEqual([409, "wrong-state"]);
  });
});
