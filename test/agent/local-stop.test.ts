import { execFile } from "node:child_process";
import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { until } from "../containers/until.ts";
import { readyAndWait, shell, useRunBed } from "./run-bed.ts";

describe("baton-agent stop", { timeout: 60_000 }, () => {
  const bed = useRunBed();
  const stop = async (stateDirectory: string, ...flags: string[]) => {
    const args = [bed.bundle(), "stop", "--state-directory", stateDirectory, ...flags];
    return promisify(execFile)(process.execPath, args, { timeout: 30_000 }).catch(
      (error: unknown) => error as { code: number; stdout: string; stderr: string },
    );
  };

  it("without --wait says that the stop is under way only once the agent has begun it", async () => {
    const agent = await bed.run({ command: shell(`trap 'sleep 1; exit 0' TERM; ${readyAndWait}`) });
    await agent.printed("ready");
    await agent.listens();
    expect(await stop(agent.stateDirectory)).toMatchObject({ stdout: expect.stringContaining("under way") });
    expect((await agent.status()).state).not.toBe("running");
    await until("the receipt", async () => (await agent.receipts()).length === 1);
    expect(await agent.receipts()).toMatchObject([{ outcome: "graceful" }]);
  });

  it("says what is wrong where no agent is, and with a flag that it does not have", async () => {
    const nowhere = await mkdtemp(join(bed.directory(), "nowhere-"));
    expect(await stop(nowhere)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("no agent listens"),
    });
    expect(await stop(nowhere, "--now")).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("stop takes --wait, --deadline-ms N and --state-directory DIR"),
    });
  });
});
