import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import { readReceipts } from "../containers/receipts.ts";
import { type AgentBed, createAgentBed, until } from "./agent-process.ts";

let bed: AgentBed | null = null;
afterEach(async () => {
  await bed?.end();
  bed = null;
});

async function open(environment: Readonly<Record<string, string>> = {}): Promise<AgentBed> {
  const opened = await createAgentBed(environment);
  bed = opened;
  return opened;
}

/** Ticks of 10 ms that a process ran so far. */
async function cpuTicks(pid: number | undefined): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

const kinds = async (of: AgentBed): Promise<readonly string[]> =>
  (await of.effects()).map(({ effect }) => effect);

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

  it("case 34: a start under the key of one that is there joins it, while it starts and when it runs", async () => {
    const agent = await open();
    await agent.begin();
    const given = await agent.grant();
    const [one, two] = await Promise.all([
      agent.askStart(given, "op.start.1"),
      agent.askStart(given, "op.start.1"),
    ]);
    expect([one.status, two.status]).toEqual([202, 202]);
    const first = await agent.settled("op.start.1");
    expect(first).toMatchObject({ state: "started", result: { run: { counter: 1 } } });
    expect((await agent.askStart(given, "op.start.1")).status).toBe(202);
    expect(await agent.settled("op.start.1")).toEqual(first);
    expect(await kinds(agent)).toEqual(["exec"]);
    expect(await agent.processes()).toHaveLength(1);
  });

  it("case 34: of two starts with one grant under two keys one is taken, at the same time and after its stop", async () => {
    const agent = await open();
    await agent.begin();
    const given = await agent.grant();
    const keys = ["op.start.1", "op.start.2"] as const;
    const answers = await Promise.all(keys.map((key) => agent.askStart(given, key)));
    const taken = keys.filter((_, n) => answers[n]?.status === 202);
    expect(taken).toHaveLength(1);
    const refused = answers.find((answer) => answer?.status !== 202);
    expect(refused?.status).toBe(409);
    expect(await refused?.json()).toMatchObject({ code: "wrong-state" });
    const started = await agent.settled(taken[0] ?? "");
    if (started.state !== "started") throw new Error(`not started: ${JSON.stringify(started)}`);
    const { run } = started.result;
    await agent.stop({ run, epoch: given.epoch, key: "op.stop.1" });
    expect(await agent.receipt("op.stop.1")).toMatchObject({ outcome: "graceful" });
    const late = await agent.askStart(given, "op.start.3");
    expect(late.status).toBe(403);
    expect(await late.json()).toMatchObject({ code: "stale-epoch" });
    expect(await kinds(agent)).toEqual(["exec", "signal", "receipt"]);
    expect(await agent.processes()).toEqual([]);
  });

  it("case 34: a stop while held is refused in words by command, is nothing to do locally, and changes nothing", async () => {
    const agent = await open();
    await agent.begin();
    const { instance } = await agent.status();
    const run = { placement: agent.config.placement, instance, counter: 1 };
    const refused = await agent.stop({ run, epoch: 1, key: "op.stop.1" });
    expect(refused.status).toBe(409);
    expect(await refused.json()).toMatchObject({
      code: "wrong-state",
      detail: "cannot stop: nothing was ever started here",
    });
    expect(await agent.stopLocally()).toEqual({ code: 0, stdout: "there is nothing to stop\n" });
    expect(await agent.status()).toMatchObject({ state: "held", run: null });
    expect(await readReceipts(agent.stateDirectory)).toEqual([]);
    expect(await agent.start(await agent.grant(), "op.start.1")).toMatchObject({ state: "started" });
  });

  it("case 34: a stop before the application is ready ends it, and the start that was overtaken says so", async () => {
    const agent = await open({ SILENT: "1" });
    await agent.begin();
    const given = await agent.grant();
    expect((await agent.askStart(given, "op.start.1")).status).toBe(202);
    await until("it is executed", async () => (await agent.processes()).length === 1);
    const { state, run, ready } = await agent.status();
    expect({ state, ready }).toEqual({ state: "starting", ready: false });
    if (run === null) throw new Error("no run");
    expect((await agent.stop({ run, epoch: given.epoch, key: "op.stop.1" })).status).toBe(202);
    expect(await agent.receipt("op.stop.1")).toMatchObject({
      run,
      evidenceClass: "proven",
      signals: [{ signal: "SIGTERM" }],
      evidence: { treeGone: true },
    });
    expect(await agent.settled("op.start.1")).toMatchObject({
      state: "failed",
      problem: { code: "wrong-state", detail: expect.stringContaining("a stop came before") },
    });
    expect(await agent.processes()).toEqual([]);
    expect(await agent.status()).toMatchObject({ state: "stopped" });
    expect(await agent.lease()).toMatchObject({ state: "stopped", run });
  });

  it("case 34: a start while it stops is refused with what the agent does; the stop goes on, and then it starts", async () => {
    const agent = await open({ STOP_MS: "1500" });
    const { run, epoch } = await agent.run();
    await agent.stop({ run, epoch, key: "op.stop.1" });
    await until("it stops", async () => (await agent.status()).state === "stopping");
    const refused = await agent.askStart({ grant: "0".repeat(32), epoch: epoch + 1 }, "op.start.2");
    expect(refused.status).toBe(409);
    expect(await refused.json()).toMatchObject({
      code: "wrong-state",
      detail: "cannot start: the agent is stopping and an operation is open",
    });
    // The signal had its effect, and the refusal none.
    expect(await agent.status()).toMatchObject({ state: "stopping" });
    expect(await agent.receipt("op.stop.1")).toMatchObject({ outcome: "graceful", run });
    expect(await agent.processes()).toEqual([]);
    const again = await agent.start(await agent.grant({ run, epoch }), "op.start.2");
    expect(again).toMatchObject({ state: "started", result: { run: { counter: 2 } } });
  });

  it("case 34: a start that arrives with SIGTERM either ran and was stopped with a receipt, or never ran", async () => {
    const ran: boolean[] = [];
    for (const afterMs of [0, 5, 15, 30, 40, 45, 50, 60, 90, 300]) {
      const agent = await open();
      await agent.begin();
      const given = await agent.grant();
      const asked = agent.askStart(given, "op.start.1").catch(() => null);
      await delay(afterMs);
      // 0: nothing was started or it stopped well; else its own status.
      await agent.signal("SIGTERM");
      await asked;
      expect(await agent.processes()).toEqual([]);
      const hasRun = (await kinds(agent)).includes("exec");
      const receipts = await readReceipts(agent.stateDirectory);
      const lease = await agent.lease();
      if (hasRun) {
        expect(receipts).toMatchObject([{ evidenceClass: "proven", evidence: { treeGone: true } }]);
        expect(lease).toMatchObject({ state: "stopped", run: receipts[0]?.run });
      } else {
        expect(receipts).toEqual([]);
        expect(["granted", "stopped"]).toContain(lease?.state);
      }
      ran.push(hasRun);
      await agent.end();
      bed = null;
    }
    // 300 ms are enough, or the loop would prove nothing.
    expect(ran).toContain(true);
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
