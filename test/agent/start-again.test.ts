import { describe, expect, it } from "vitest";
import { until } from "../containers/until.ts";
import { readyAndWait, shell, useRunBed } from "./run-bed.ts";

const command = shell(`trap 'exit 0' TERM; ${readyAndWait}`);

describe("a container that the platform starts again, with the same state", { timeout: 60_000 }, () => {
  const bed = useRunBed();

  it("holds what was told to stop, and stays: an agent that left would be started for ever", async () => {
    const first = await bed.run({ command });
    await first.printed("ready");
    await first.listens();
    expect(await first.stop()).toMatchObject({ outcome: "graceful" });
    first.signal("SIGKILL");
    await first.ended();
    const second = await bed.run({ command, stateDirectory: first.stateDirectory });
    await second.listens();
    expect(await second.status()).toMatchObject({ state: "stopped", ready: false });
    expect(await second.tree()).toEqual([]);
    expect(second.child.exitCode).toBeNull();
    second.signal("SIGTERM");
    expect(await second.ended()).toBe(0);
  });

  it("starts what only the platform had ended, as there is no lease that somebody else could hold", async () => {
    const first = await bed.run({ command });
    await first.printed("ready");
    first.signal("SIGTERM");
    expect(await first.ended()).toBe(0);
    const second = await bed.run({ command, stateDirectory: first.stateDirectory });
    await second.printed("ready");
    await second.listens();
    await until("it runs", async () => (await second.status()).state === "running");
  });

  it("holds what was told to stop also when the platform's SIGTERM came in the middle of it", async () => {
    const slow = shell(`trap 'echo told; sleep 1; exit 0' TERM; ${readyAndWait}`);
    const first = await bed.run({ command: slow });
    await first.printed("ready");
    await first.listens();
    const stopped = first.stop();
    await first.printed("told");
    first.signal("SIGTERM");
    expect(await stopped).toMatchObject({ outcome: "graceful" });
    await first.ended();
    const second = await bed.run({ command: slow, stateDirectory: first.stateDirectory });
    await second.listens();
    expect(await second.status()).toMatchObject({ state: "stopped" });
  });
});
