import { describe, expect, it } from "vitest";
import { canStarve, cpuGroups, useCgroups } from "./cgroup.ts";
import { readyAndWait, shell, useRunBed } from "./run-bed.ts";

const needsCpu = { skip: !canStarve, meta: { needs: cpuGroups } };
/** Of one core, for the agent and its application together. */
const share = 0.05;
/** What a starved agent may be late: its timers are due on time, but it has to get its share of the core to look. */
const marginMs = 8_000;

/** Does not end, and takes what it can get. */
const spins = `trap 'echo told' TERM; echo ready; while :; do :; done`;

describe("an agent and an application that get a twentieth of a core", { timeout: 240_000 }, () => {
  const bed = useRunBed();
  const cgroups = useCgroups();

  /** Starts at full speed, so that only the stop is starved. */
  async function starved(graceMs: number, script: string) {
    const group = await cgroups.cpu(1);
    const agent = await bed.run({
      behind: ["sh", "-c", `${group.enter} && exec "$@"`, "sh"],
      options: ["--kill-allowed", "--grace-ms", String(graceMs)],
      command: shell(script),
    });
    await agent.printed("ready");
    await agent.listens();
    await group.limit(share);
    const throttled = async (): Promise<number> =>
      Number(/^nr_throttled (\d+)$/m.exec(await group.get("cpu.stat"))?.[1]);
    return { agent, throttled, before: await throttled() };
  }

  it(
    "case 40: one that ends well is graceful within its deadline, and gets no SIGKILL before its time",
    needsCpu,
    async () => {
      const work = "n=0; while [ $n -lt 100000 ]; do n=$((n + 1)); done";
      const { agent, throttled, before } = await starved(
        30_000,
        `trap '${work}; exit 0' TERM; ${readyAndWait}`,
      );
      const startedAt = performance.now();
      expect(await agent.stop(90_000)).toMatchObject({ outcome: "graceful", evidenceClass: "proven" });
      const tookMs = performance.now() - startedAt;
      const [receipt] = await agent.receipts();
      expect(receipt).toMatchObject({ exit: { code: 0 }, signals: [{ signal: "SIGTERM" }] });
      expect(tookMs).toBeLessThan(90_000 + marginMs);
      // It really was starved, or this would say nothing.
      expect((await throttled()) - before).toBeGreaterThan(10);
    },
  );

  it(
    "case 40: SIGKILL comes after the grace, by the monotonic clock, and not a moment before",
    needsCpu,
    async () => {
      const graceMs = 12_000;
      const { agent, throttled, before } = await starved(graceMs, spins);
      expect(await agent.stop(60_000)).toMatchObject({ outcome: "forced", evidenceClass: "proven" });
      const [receipt] = await agent.receipts();
      const [term, kill, ...others] = receipt?.signals ?? [];
      expect([term?.signal, kill?.signal, others]).toEqual(["SIGTERM", "SIGKILL", []]);
      const apartMs = Date.parse(kill?.at ?? "") - Date.parse(term?.at ?? "");
      // The stamps are whole milliseconds.
      expect(apartMs).toBeGreaterThanOrEqual(graceMs - 20);
      expect(apartMs).toBeLessThan(graceMs + marginMs);
      expect(receipt?.timings.stopMs).toBeLessThan(graceMs + 2 * marginMs);
      // It spun all the time.
      expect((await throttled()) - before).toBeGreaterThan(30);
    },
  );

  it(
    "case 40: a deadline that leaves a starved agent hardly time to look is kept, and what it says then is true",
    needsCpu,
    async () => {
      const deadlineMs = 10_000;
      const { agent, throttled, before } = await starved(40_000, spins);
      const startedAt = performance.now();
      const { outcome, evidenceClass } = await agent.stop(deadlineMs);
      expect(performance.now() - startedAt).toBeLessThan(deadlineMs + marginMs);
      const [receipt] = await agent.receipts();
      const isOver = (await agent.tree()).length === 0;
      if (evidenceClass === "proven")
        expect({ outcome, isOver }).toEqual({ outcome: "forced", isOver: true });
      else expect(["unknown", "refused"]).toContain(outcome);
      expect(receipt).toMatchObject({ outcome, evidenceClass });
      // Of the time there is the application gets the larger part.
      const kill = receipt?.signals.find(({ signal }) => signal === "SIGKILL");
      if (kill !== undefined)
        expect(Date.parse(kill.at) - Date.parse(receipt?.timings.receivedAt ?? "")).toBeGreaterThan(
          deadlineMs / 2 - 20,
        );
      expect((await throttled()) - before).toBeGreaterThan(30);
    },
  );
});
