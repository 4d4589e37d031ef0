import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { readyAndWait, shell, until, useRunBed } from "./run-bed.ts";

describe("output of the application in run mode", { timeout: 180_000 }, () => {
  const bed = useRunBed();

  it("case 44: a reader that stalls stops neither the agent nor its receipt, and the last lines are whole", async () => {
    // Floods first, so that the pipe is full; its last words wait for the reader like all the others.
    const flood = `trap 'echo last-words-whole; exit 0' TERM; echo begin; while :; do echo 0123456789012345678901234567890123456789; done`;
    const agent = await bed.run({
      options: ["--grace-ms", "60000", "--platform-grace-ms", "100000"],
      command: shell(flood),
    });
    await agent.printed("begin");
    agent.child.stdout?.pause();
    agent.child.stderr?.pause();
    await delay(2_000);
    // It answers while nobody reads.
    await agent.listens();
    expect(await agent.status()).toMatchObject({ state: "running" });
    const stopped = agent.stop(90_000);
    await until("it stops", async () => (await agent.status()).state !== "running");
    await delay(1_000);
    agent.child.stdout?.resume();
    agent.child.stderr?.resume();
    expect(await stopped).toMatchObject({ outcome: "graceful", evidenceClass: "proven" });
    await agent.printed("last-words-whole\n");
    expect(await agent.receipts()).toMatchObject([{ outcome: "graceful", exit: { code: 0 } }]);
  });

  it("case 45: the agent ends though a stranger holds the same output open", async () => {
    const agent = await bed.run({
      behind: ["sh", "-c", 'sleep 600 & echo "stranger $!."; exec "$@"', "sh"],
      command: shell(`trap 'exit 0' TERM; ${readyAndWait}`),
    });
    await agent.printed("ready");
    const stranger = Number(/stranger (\d+)\./.exec(agent.output())?.[1]);
    try {
      agent.signal("SIGTERM");
      expect(await agent.ended()).toBe(0);
      expect(await agent.receipts()).toMatchObject([{ outcome: "graceful" }]);
    } finally {
      // It is not of the tree, so it lives.
      process.kill(stranger, "SIGKILL");
    }
  });

  it("case 45: a grandchild that keeps the output open is of the tree, and is ended with it", async () => {
    const agent = await bed.run({ command: shell(`setsid sleep 600 & trap 'exit 0' TERM; ${readyAndWait}`) });
    await agent.printed("ready");
    agent.signal("SIGTERM");
    expect(await agent.ended()).toBe(0);
    expect(await agent.tree()).toEqual([]);
  });
});
