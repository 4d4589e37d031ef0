import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import { type AgentBed, createAgentBed } from "./agent-process.ts";

let bed: AgentBed | null = null;
afterEach(async () => {
  await bed?.end();
  bed = null;
});

/** Ticks of 10 ms that a process ran so far. */
async function cpuTicks(pid: number | undefined): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

describe("hold, start and stop over the network", { timeout: 180_000 }, () => {
  it("case 32: the same key gives the same receipt, byte by byte, also after the agent's death", async () => {
    bed = await createAgentBed();
    const { run, epoch } = await bed.run();
    await bed.stop({ run, epoch, key: "op.stop.1" });
    const first = await bed.settled("op.stop.1");
    expect((await bed.stop({ run, epoch, key: "op.stop.1" })).status).toBe(202);
    await bed.signal("SIGKILL");
    await bed.begin();
    await bed.stop({ run, epoch, key: "op.stop.1" });
    const again = await bed.settled("op.stop.1");
    expect(again.state === "receipt" && again.receipt).toBe(first.state === "receipt" && first.receipt);
  });

  it("case 32: another command under a key that was used is a conflict, and changes nothing", async () => {
    bed = await createAgentBed();
    const { run, epoch } = await bed.run();
    const other = { ...run, counter: run.counter + 1 };
    await bed.stop({ run, epoch, key: "op.stop.1" });
    expect((await bed.stop({ run: other, epoch, key: "op.stop.1" })).status).toBe(409);
    expect(await bed.receipt("op.stop.1")).toMatchObject({ outcome: "graceful", run });
  });

  it("case 34: a second start is refused while the first one lives", async () => {
    bed = await createAgentBed();
    const { epoch } = await bed.run();
    const again = await bed
      .start({ grant: "0".repeat(32), epoch: epoch + 1 }, "op.start.2")
      .catch((error: unknown) => error);
    expect(JSON.stringify(again)).not.toContain('"started"');
    expect(await bed.processes()).toHaveLength(1);
    expect(await bed.status()).toMatchObject({ state: "running" });
  });

  it("case 34: a start that arrives with SIGTERM leaves no process behind, whichever comes first", async () => {
    for (const afterMs of [0, 5, 20, 60, 150]) {
      bed = await createAgentBed();
      await bed.begin();
      const given = await bed.grant();
      const asked = bed.start(given, "op.start.1").catch(() => null);
      await delay(afterMs);
      // 0: nothing was started or it stopped well; else its own status. What counts is that nothing lives on.
      await bed.signal("SIGTERM");
      await asked;
      expect(await bed.processes()).toEqual([]);
      const lease = await bed.lease();
      expect(lease?.state).not.toBe("running");
      await bed.end();
      bed = null;
    }
  });

  it("case 35: a held agent lives, is not ready, does next to nothing, and ends at once with 0", async () => {
    bed = await createAgentBed();
    const { pid } = await bed.begin();
    await delay(2_000);
    const before = await cpuTicks(pid);
    await delay(3_000);
    // 3 s are 300 ticks; some are the collector's.
    expect((await cpuTicks(pid)) - before).toBeLessThanOrEqual(15);
    expect(await bed.status()).toMatchObject({ state: "held", ready: false, open: false, run: null });
    expect(await bed.signal("SIGTERM")).toBe(0);
  });
});
