import { describe, expect, it } from "vitest";
import { krakeStates } from "./application.ts";
import { useKrakeBed } from "./agent-bed.ts";
import type { Fault } from "./api-server.ts";

// A 200 of Krake's API is no acceptance, and its silence no refusal.

const { deploy } = useKrakeBed();
const patience = 60_000;

describe("a confirmation to a Krake", () => {
  it("C7: that is answered 200 in another state is sent until the state is READY_FOR_ACTION", async () => {
    const { krake, agent, order, recorded } = await deploy();
    krake.fail({ observe: "RUNNING" }, { observe: "COMPLETED" }, { observe: "RESTARTING" });
    await order();
    await krake.until(({ confirms }) => confirms.length >= 4, patience);
    expect(agent.journal()?.krake?.state).toBe("pending");
    // As after `krakectl kube app retry`, or a grace that ended.
    krake.state = "DEGRADED";
    await recorded("confirmed");
    const states = krake.confirms.map(({ status, answeredState }) => [status, answeredState]);
    expect(states.slice(0, 3)).toEqual([
      [200, "RUNNING"],
      [200, "COMPLETED"],
      [200, "RESTARTING"],
    ]);
    expect(states.at(-1)).toEqual([200, "READY_FOR_ACTION"]);
    // Once taken, it is over: the next one belongs to the next order.
    const sent = krake.confirms.length;
    await order();
    await krake.until(({ confirms }) => confirms.length > sent, patience);
    await recorded("confirmed");
    expect(krake.confirms).toHaveLength(sent + 1);
    expect(await agent.receipts()).toHaveLength(1);
  });

  it.each(krakeStates.filter((state) => ["MIGRATING", "DELETING", "DELETED"].includes(state)))(
    "C7: whose answer was lost counts as taken when Krake has gone on to %s",
    async (state) => {
      const { krake, order, recorded } = await deploy();
      krake.fail("lost", { observe: state });
      await order();
      await recorded("confirmed");
      expect(krake.confirms.map(({ fault }) => fault)).toEqual(["lost", { observe: state }]);
    },
  );

  it("C8: is tried again after 409, 503, 408, 429, a redirect, resets and a lost answer, with the same body", async () => {
    const { krake, order, recorded } = await deploy();
    const faults: Fault[] = ["conflict", 503, "reset", 408, 429, 302];
    krake.fail(...faults);
    await order();
    await recorded("confirmed");
    expect(krake.confirms.map(({ fault }) => fault)).toEqual([...faults, null]);
    expect(new Set(krake.confirms.map(({ body }) => body)).size).toBe(1);
    const pauses = krake.confirms.slice(1).map(({ at }, index) => at - (krake.confirms[index]?.at ?? 0));
    // Grown beyond all jitter: 0.1 to 0.2 s after the first, 3.2 to 6.4 s after the sixth.
    expect(pauses.at(-1)).toBeGreaterThan((pauses[0] ?? 0) / 2);
    expect(pauses.at(-1)).toBeGreaterThanOrEqual(3_000);
  });

  it("C8: that is never answered is given up after 5 s, and sent again", async () => {
    const { krake, order, recorded } = await deploy();
    krake.fail("hang");
    await order();
    await recorded("confirmed");
    expect(krake.confirms.map(({ status }) => status)).toEqual([null, 200]);
  });

  it.each([401, 403, 404, 415, 422])("C8: is reported and not sent again after %d", async (status) => {
    const { krake, agent, order, recorded } = await deploy();
    krake.fail(status);
    await order();
    await recorded("refused");
    expect(agent.output()).toMatch(new RegExp(`"level":"error".*Krake refuses.*"status":${status}`));
    expect(agent.isUp).toBe(true);
    // Once a person has put right what was wrong, Krake's own retry is enough.
    expect((await order()).status).toBe(200);
    await recorded("confirmed");
    expect(krake.confirms.map((confirm) => confirm.status)).toEqual([status, 200]);
    expect(await agent.receipts()).toHaveLength(1);
  });

  it("C9: is sent after the grace as well, and taken when the API is back", async () => {
    const { krake, agent, recorded } = await deploy({ stopMs: 600 });
    krake.fail(503, 503, 503);
    const ended = krake.shutDown({
      address: agent.address,
      graceMs: 300,
      strategy: "give_up",
      reason: "migration",
    });
    expect(await ended).toBe("given-up");
    expect(krake.state).toBe("DEGRADED");
    await recorded("confirmed");
    expect(krake.state).toBe("READY_FOR_ACTION");
    expect(krake.confirms.length).toBeGreaterThan(3);
  });
});

describe("a stop that is not clean", () => {
  it("C10: climbs to SIGKILL where the hook allows it, and is not confirmed", async () => {
    const { krake, agent, order, recorded } = await deploy({
      behaviour: "ignore",
      hook: { graceMs: 300, killAllowed: true },
    });
    await order();
    await recorded("withheld");
    const [receipt] = await agent.receipts();
    expect(receipt?.outcome).toBe("forced");
    expect(receipt?.signals.map(({ signal }) => signal)).toEqual(["SIGTERM", "SIGKILL"]);
    expect(krake.confirms).toEqual([]);
    expect(agent.output()).toMatch(/"level":"error".*no confirmation.*the stop was forced/);
    expect(agent.isUp).toBe(true);
  });

  it("C10: is not confirmed when the application refuses, which serves on; the next order tries again", async () => {
    const { krake, agent, order, recorded } = await deploy({ behaviour: "ignore", hook: { graceMs: 300 } });
    await order();
    await recorded("withheld");
    expect((await agent.receipts())[0]?.outcome).toBe("refused");
    expect((await fetch(`${agent.applicationUrl}/health`)).ok).toBe(true);
    expect(agent.output()).toContain("the application is not proven to be gone");
    await order();
    await agent.until("a second stop", async () => (await agent.receipts()).length === 2);
    expect(krake.confirms).toEqual([]);
  });

  it("C10: is not confirmed when the application fails at its end", async () => {
    const { krake, agent, order, recorded } = await deploy({ behaviour: "exit-1" });
    await order();
    await recorded("withheld");
    expect((await agent.receipts())[0]).toMatchObject({ outcome: "crashed-during-stop", exit: { code: 1 } });
    expect(krake.confirms).toEqual([]);
  });
});
