import { mkdtemp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { compile, compiler, hasCompiler } from "./needs.ts";
import { readyAndWait, shell, until, useRunBed } from "./run-bed.ts";

/** Leaves nobody behind. */
const takesAWhile = `trap 'echo told; sleep 1.5; exit 0' TERM; echo ready; while :; do sleep 0.1; done`;

describe("time in a stop", { timeout: 180_000 }, () => {
  const bed = useRunBed();

  it.each([3_600, -3_600])(
    "case 40: a wall clock that jumps by %i s in the middle of a stop changes nothing",
    { skip: !hasCompiler, meta: { needs: compiler } },
    async (seconds) => {
      const library = await compile("clock", bed.directory(), "library");
      const file = join(await mkdtemp(join(bed.directory(), "c-")), "shift");
      await writeFile(file, "0");
      const agent = await bed.run({
        options: ["--kill-allowed", "--signal-to", "main", "--grace-ms", "30000"],
        env: { LD_PRELOAD: library, CLOCK_FILE: file },
        command: shell(takesAWhile),
      });
      await agent.printed("ready");
      await agent.listens();
      const stopped = agent.stop(60_000);
      await agent.printed("told");
      await writeFile(file, String(seconds));
      expect(await stopped).toMatchObject({ outcome: "graceful", evidenceClass: "proven" });
      const [receipt] = await agent.receipts();
      // The jump was really seen: the stamps are an hour apart, and the duration is not.
      const { receivedAt, exitedAt, stopMs } = receipt?.timings ?? {};
      const apartMs = Date.parse(exitedAt ?? "") - Date.parse(receivedAt ?? "");
      expect(Math.abs(apartMs - seconds * 1_000)).toBeLessThan(60_000);
      expect(stopMs).toBeGreaterThan(1_000);
      expect(stopMs).toBeLessThan(60_000);
    },
  );

  it("case 40: after a freeze in mid-stop the application gets its grace, not SIGKILL", async () => {
    const agent = await bed.run({
      options: ["--kill-allowed", "--signal-to", "main", "--grace-ms", "2500"],
      command: shell(takesAWhile),
    });
    await agent.printed("ready");
    await agent.listens();
    const stopped = agent.stop(120_000);
    await agent.printed("told");
    const frozen = [...(await agent.tree()).map(({ pid }) => pid), agent.child.pid ?? 0];
    for (const pid of frozen) process.kill(pid, "SIGSTOP");
    // Longer than the grace.
    await delay(6_000);
    for (const pid of frozen.toReversed()) process.kill(pid, "SIGCONT");
    expect(await stopped).toMatchObject({ outcome: "graceful", evidenceClass: "proven" });
    const [receipt] = await agent.receipts();
    expect(receipt?.signals.map(({ signal, processes }) => ({ signal, processes }))).toEqual([
      { signal: "SIGTERM", processes: expect.any(Number) },
    ]);
    expect(agent.output().match(/told/g)).toHaveLength(1);
  });

  it("case 52: an agent that was stopped itself and goes on after the deadline sees the end first", async () => {
    const agent = await bed.run({
      options: ["--kill-allowed", "--signal-to", "main", "--grace-ms", "3000"],
      command: shell(takesAWhile),
    });
    await agent.printed("ready");
    await agent.listens();
    const stopped = agent.stop(6_000);
    await agent.printed("told");
    agent.signal("SIGSTOP");
    await until("the application is gone", async () => (await agent.tree()).length === 0);
    await delay(7_000);
    agent.signal("SIGCONT");
    expect(await stopped).toMatchObject({ outcome: "graceful", evidenceClass: "proven" });
    const [receipt] = await agent.receipts();
    expect(receipt?.signals.map(({ signal }) => signal)).toEqual(["SIGTERM"]);
  });

  it("case 52: one that lives on after the deadline is not killed by an agent that wakes up late", async () => {
    const agent = await bed.run({
      options: ["--kill-allowed", "--signal-to", "main", "--grace-ms", "3000"],
      command: shell(`trap 'echo told' TERM; ${readyAndWait}`),
    });
    await agent.printed("ready");
    await agent.listens();
    const stopped = agent.stop(6_000);
    await agent.printed("told");
    agent.signal("SIGSTOP");
    await delay(7_000);
    agent.signal("SIGCONT");
    expect(await stopped).toMatchObject({ outcome: "refused", evidenceClass: "unknown" });
    expect((await agent.tree()).length).toBeGreaterThan(0);
    expect(await agent.status()).toMatchObject({ state: "running" });
  });

  it.each([
    ["drain", ["--drain-delay-ms", "50000", "--drain-timeout-ms", "10000"]],
    [
      "quiesce",
      ["--quiesce", "sleep 50", "--quiesce-on-failure", "continue", "--quiesce-timeout-ms", "60000"],
    ],
  ] as const)(
    "case 41: SIGTERM with a short grace in the %s of a long stop leaves time for signal, proof and receipt",
    async (phase, options) => {
      const agent = await bed.run({
        options: [...options, "--grace-ms", "10000", "--platform-grace-ms", "8000"],
        command: shell(`trap 'exit 0' TERM; ${readyAndWait}`),
      });
      await agent.printed("ready");
      await agent.listens();
      const long = agent.stop(80_000);
      await until("the phase", async () => ["draining", "quiescing"].includes((await agent.status()).state));
      agent.signal("SIGTERM");
      expect(await agent.ended()).toBe(0);
      expect(await long).toMatchObject({ outcome: "graceful", evidenceClass: "proven" });
      const [receipt] = await agent.receipts();
      const cut = receipt?.phases.find((each) => each.phase === phase);
      expect(cut?.result).toBe("late");
      expect(cut?.ms).toBeLessThan(40_000);
      expect(receipt?.phases.map((each) => each.phase)).toEqual([phase, "signals", "verify"]);
    },
  );
});
