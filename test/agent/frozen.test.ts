import { describe, expect, it } from "vitest";
import { canFreeze, freezer, useCgroups } from "./cgroup.ts";
import { readyAndWait, shell, until, useRunBed } from "./run-bed.ts";

const kills = ["--kill-allowed", "--grace-ms", "500"];
const needsFreezer = { skip: !canFreeze, meta: { needs: freezer } };

describe("an application in state D, which no signal reaches", { timeout: 180_000 }, () => {
  const bed = useRunBed();
  const cgroups = useCgroups();

  /** Runs, and stands still; `main` is the number that it is called by. */
  async function frozen(options: readonly string[]) {
    const group = await cgroups.freezer();
    const agent = await bed.run({
      options,
      command: shell(`${group.enter}; trap 'exit 0' TERM; ${readyAndWait}`),
    });
    await agent.printed("ready");
    await agent.listens();
    await group.freeze();
    const tree = await agent.tree();
    expect(tree.map(({ state }) => state)).toEqual(["D", "D"]);
    return { agent, group, main: tree.find(({ comm }) => comm === "sh")?.pid };
  }

  it(
    "case 9: SIGKILL that does not act is no stop: unknown, named, the agent stays; after the thaw it sees the end",
    needsFreezer,
    async () => {
      const { agent, group, main } = await frozen(kills);
      const stopped = await agent.stop(4_000);
      expect(stopped).toMatchObject({ outcome: "unknown", evidenceClass: "unknown" });
      expect(stopped.remaining).toContain(`process ${main} (sh) lives, state D`);
      const [receipt, ...others] = await agent.receipts();
      expect(others).toEqual([]);
      expect(receipt).toMatchObject({
        key: stopped.key,
        outcome: "unknown",
        evidenceClass: "unknown",
        exit: null,
        signals: [
          { signal: "SIGTERM", processes: 2 },
          { signal: "SIGKILL", processes: 2 },
        ],
        evidence: { treeGone: false },
        timings: { exitedAt: null, verifiedAt: null, stopMs: null },
      });
      // They live still, and the agent says that it does not know.
      expect(await agent.tree()).toHaveLength(2);
      const { state, open, waiting } = await agent.status();
      expect({ state, open }).toEqual({ state: "unknown", open: false });
      expect(waiting?.for).toBe("what is left of the application, or what hides it");
      expect(agent.child.exitCode).toBeNull();

      await group.thaw();
      await until("the end is seen", async () => (await agent.status()).state !== "unknown");
      // Not "crashed": it was told to stop, and an agent that left would have it started again.
      await until("it is stopped", async () => (await agent.status()).state === "stopped");
      expect(await agent.tree()).toEqual([]);
      expect(await agent.stop(4_000)).toMatchObject({ outcome: null, key: null });
      expect(await agent.receipts()).toHaveLength(1);
      expect(agent.child.exitCode).toBeNull();
      agent.signal("SIGTERM");
      expect(await agent.ended()).toBe(137);
    },
  );

  it(
    "case 9: later stops tell the truth: unknown as long as it is frozen, proven once it thaws",
    needsFreezer,
    async () => {
      const { agent, group } = await frozen(kills);
      const first = await agent.stop(4_000);
      const second = await agent.stop(4_000);
      expect([first, second]).toMatchObject([
        { outcome: "unknown", evidenceClass: "unknown" },
        { outcome: "unknown", evidenceClass: "unknown" },
      ]);
      const third = agent.stop(60_000);
      await until("the third one is under way", async () => (await agent.status()).state === "stopping");
      await group.thaw();
      expect(await third).toMatchObject({ evidenceClass: "proven", remaining: [] });
      expect(await agent.tree()).toEqual([]);
      const receipts = await agent.receipts();
      const keys = [first, second, await third].map(({ key }) => key);
      expect(new Set(receipts.map(({ key }) => key))).toEqual(new Set(keys));
      const last = receipts.find(({ key }) => key === keys[2]);
      // SIGKILL is the first signal that is delivered, also when it was sent last.
      expect(last).toMatchObject({ exit: { code: null, signal: "SIGKILL" }, evidence: { treeGone: true } });
      expect(["forced", "crashed-during-stop"]).toContain(last?.outcome);
    },
  );

  it(
    "case 9: an agent that was told to end by SIGTERM stays with it, and leaves after the thaw with its status",
    needsFreezer,
    async () => {
      const { agent, group } = await frozen([...kills, "--platform-grace-ms", "4000"]);
      agent.signal("SIGTERM");
      await agent.printed("the agent stays");
      expect(await agent.tree()).toHaveLength(2);
      expect(agent.child.exitCode).toBeNull();
      expect(await agent.receipts()).toMatchObject([{ outcome: "unknown", evidenceClass: "unknown" }]);
      await group.thaw();
      expect(await agent.ended()).toBe(137);
      expect(await agent.tree()).toEqual([]);
    },
  );

  it(
    "case 9: without leave to kill it is refused, and the signal acts after the thaw",
    needsFreezer,
    async () => {
      const { agent, group, main } = await frozen(["--grace-ms", "500"]);
      const stopped = await agent.stop(4_000);
      expect(stopped).toMatchObject({ outcome: "refused", evidenceClass: "unknown" });
      expect(stopped.remaining).toContain(`process ${main} (sh) lives, state D`);
      const [receipt] = await agent.receipts();
      expect(receipt?.signals.map(({ signal }) => signal)).toEqual(["SIGTERM"]);
      await group.thaw();
      expect(await agent.ended()).toBe(0);
      expect(await agent.tree()).toEqual([]);
    },
  );
});
