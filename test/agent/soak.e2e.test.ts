import { readFile, readdir } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { readyAndWait, shell, useRunBed } from "./run-bed.ts";

/** For 72 h: SOAK_MS=259200000 and a longer time limit. */
const soakMs = Number(process.env["SOAK_MS"] ?? "10000");

describe("the agent over a long time", { timeout: soakMs + 120_000 }, () => {
  const bed = useRunBed();

  it("case 50: neither descriptors nor memory grow while it is asked again and again", async () => {
    const agent = await bed.run({ command: shell(`trap 'exit 0' TERM; ${readyAndWait}`) });
    const { pid } = agent.child;
    const look = async () => {
      const status = await readFile(`/proc/${pid}/status`, "utf8");
      const residentKb = Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]);
      return { descriptors: (await readdir(`/proc/${pid}/fd`)).length, residentKb };
    };
    await agent.printed("ready");
    await agent.listens();
    for (let warmUp = 0; warmUp < 50; warmUp += 1) await agent.status();
    const before = await look();
    for (const endAt = performance.now() + soakMs; performance.now() < endAt; await delay(50))
      await agent.status();
    // The last answer's socket may be closing still.
    await delay(500);
    const after = await look();
    expect(after.descriptors).toBeLessThanOrEqual(before.descriptors);
    expect(after.residentKb).toBeLessThan(before.residentKb + 30_000);
    agent.signal("SIGTERM");
    expect(await agent.ended()).toBe(0);
  });
});
