import { describe, expect, it } from "vitest";
import { useKrakeBed } from "./agent-bed.ts";

// P1 and P4 when the agent's own process is killed: the order is not forgotten, and nothing is confirmed that nobody saw.

const { deploy } = useKrakeBed();

describe("C13: an agent that is killed and starts again", () => {
  it("in mid-stop goes on to the end, and does not confirm an end whose exit status was lost with it", async () => {
    const { krake, agent, order, recorded } = await deploy({ stopMs: 3_000 });
    await order();
    await agent.until("the stop is on record", () => agent.output().includes("the application is stopped"));
    await agent.end("SIGKILL");
    expect(agent.journal()?.krake?.state).toBe("asked");
    await agent.begin();
    await recorded("withheld");
    expect(await agent.processes()).toEqual([]);
    const receipts = await agent.receipts();
    expect(receipts).toHaveLength(1);
    expect(receipts[0]).toMatchObject({ evidenceClass: "proven", exit: null });
    expect(krake.confirms).toEqual([]);
    expect(agent.output()).toMatch(/no confirmation.*"reason"/);
    // It must not be started next to the copy that Krake may start elsewhere.
    expect(agent.isUp).toBe(true);
    expect((await krake.command(agent.address)).status).toBe(200);
    expect(krake.confirms).toEqual([]);
  });

  it("after the end confirms it, by the same body", async () => {
    const { krake, agent, order, recorded } = await deploy();
    krake.fail(...Array.from({ length: 6 }, () => 503));
    await order();
    await krake.until(({ confirms }) => confirms.length > 0, 30_000);
    await agent.end("SIGKILL");
    expect(agent.journal()?.krake?.state).toBe("pending");
    await agent.begin();
    await recorded("confirmed");
    expect(krake.state).toBe("READY_FOR_ACTION");
    expect(new Set(krake.confirms.map(({ body }) => body)).size).toBe(1);
    expect(await agent.receipts()).toHaveLength(1);
    expect(await agent.processes()).toEqual([]);
  });

  it("after the confirmation stays up, starts nothing and confirms again when asked", async () => {
    const { krake, agent, order, recorded } = await deploy();
    await order();
    await recorded("confirmed");
    await agent.end("SIGKILL");
    await agent.begin();
    expect(agent.isUp).toBe(true);
    expect(await agent.processes()).toEqual([]);
    expect(krake.confirms).toHaveLength(1);
    await order();
    await krake.until(({ confirms, state }) => confirms.length === 2 && state === "READY_FOR_ACTION", 30_000);
    expect(await agent.receipts()).toHaveLength(1);
  });

  it("at any moment of the order is followed by one stop, and by a confirmation only of what was seen", async () => {
    for (const afterMs of [0, 5, 15, 40, 80, 150]) {
      const { krake, agent, order } = await deploy({ stopMs: 30 });
      await order();
      await new Promise((resolve) => setTimeout(resolve, afterMs));
      await agent.end("SIGKILL");
      await agent.begin();
      await agent.until("the order is over", () =>
        ["confirmed", "withheld"].includes(agent.journal()?.krake?.state ?? ""),
      );
      expect(await agent.processes()).toEqual([]);
      const outcomes = (await agent.receipts()).map(({ outcome, exit }) => ({ outcome, exit }));
      const wasSeen = outcomes.some(({ outcome }) => outcome === "graceful");
      expect(krake.state === "READY_FOR_ACTION").toBe(wasSeen);
    }
  });
});

describe("an application that ended by itself", () => {
  it("before the order is confirmed, without a stop", async () => {
    const { krake, agent, order, recorded } = await deploy({ agent: { afterExit: "stay" } });
    await fetch(`${agent.applicationUrl}/exit`).catch(() => undefined);
    await agent.until("its end is on record", () => agent.journal()?.run?.end !== null);
    await order();
    await recorded("confirmed");
    expect(krake.confirms).toHaveLength(1);
    const receipts = await agent.receipts();
    expect(receipts.map(({ outcome }) => outcome)).toEqual(["already-stopped"]);
    expect(receipts[0]?.signals).toEqual([]);
  });
});
