import { describe, expect, it } from "vitest";
import { useKrakeBed } from "./agent-bed.ts";

// Krake's side as it is, the agent as a process of its own: what is ordered by PUT /shutdown ends by one stop and is confirmed as it ended.

const { deploy } = useKrakeBed();
const patience = 30_000;

describe("an order of a Krake", () => {
  it("C1: is taken exactly as the controller sends it, without a credential", async () => {
    const { krake, order } = await deploy();
    const answer = await order();
    expect(answer.status).toBe(200);
    await krake.until(({ state }) => state === "READY_FOR_ACTION", patience);
  });

  it("C2: is answered whole while the application has not begun to end", async () => {
    const { krake, agent, order } = await deploy({ stopMs: 5_000 });
    const answer = await order();
    const answeredAt = Date.now();
    expect(answer).toMatchObject({ status: 200, body: '{"accepted":true}' });
    expect(answer.headers["content-length"]).toBe(String(answer.body.length));
    await krake.until(({ state }) => state === "READY_FOR_ACTION", patience);
    const [receipt] = await agent.receipts();
    // The application takes 5 s from the signal on.
    expect(answeredAt).toBeLessThan(Date.parse(receipt?.timings.exitedAt ?? ""));
  });

  it("C3: is confirmed only when the whole tree is gone and the receipt is on disk", async () => {
    const { krake, agent, order } = await deploy({ stopMs: 400 });
    await order();
    await krake.until(({ confirms }) => confirms.length > 0, patience);
    const at = krake.confirms[0]?.at ?? 0;
    expect(await agent.processes()).toEqual([]);
    const [receipt, ...more] = await agent.receipts();
    expect(more).toEqual([]);
    expect(receipt).toMatchObject({ outcome: "graceful", evidenceClass: "proven" });
    expect(receipt?.key).toContain(".krake-stop.");
    expect(Date.parse(receipt?.timings.verifiedAt ?? "")).toBeLessThanOrEqual(at);
  });

  it.each([
    ["a colon", "system:admin"],
    ["an escaped colon", "system%3Aadmin"],
  ])(
    "C4: is confirmed by the shape that Krake reads, at the address to the letter (%s)",
    async (_, namespace) => {
      const { krake, order } = await deploy({}, { namespace, name: "demo" });
      await order();
      await krake.until(({ state }) => state === "READY_FOR_ACTION", patience);
      const [confirm] = krake.confirms;
      expect(confirm).toMatchObject({
        method: "PUT",
        target: `/kubernetes/namespaces/${namespace}/applications/demo/shutdown`,
        status: 200,
      });
      expect(JSON.parse(confirm?.body ?? "")).toEqual({
        token: krake.token,
        kind: "Shutdown",
        api: "kubernetes",
      });
      expect(confirm?.headers["content-length"]).toBe(String(Buffer.byteLength(confirm?.body ?? "")));
    },
  );

  it("C5: that comes three times is one stop and one confirmation", async () => {
    const { krake, agent, order, recorded } = await deploy({ stopMs: 3_000 });
    const answers = [await order(), await krake.command(agent.address), await krake.command(agent.address)];
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
    await recorded("confirmed");
    expect(await agent.receipts()).toHaveLength(1);
    expect((await agent.receipts())[0]?.signals).toHaveLength(1);
    expect(krake.confirms).toHaveLength(1);
  });

  it("C6: after the confirmation is confirmed again, without a second stop", async () => {
    const { krake, agent, order, recorded } = await deploy();
    await order();
    await recorded("confirmed");
    // As after a lost write, or for the deletion that follows a migration that was called off.
    const again = await order();
    expect(again.status).toBe(200);
    await krake.until(
      ({ state, confirms }) => state === "READY_FOR_ACTION" && confirms.length === 2,
      patience,
    );
    expect(await agent.receipts()).toHaveLength(1);
  });

  it("C16: leaves the agent up until SIGTERM, which ends it at once with the application's status", async () => {
    const { krake, agent, order, recorded } = await deploy();
    await order();
    await recorded("confirmed");
    expect(agent.isUp).toBe(true);
    expect((await krake.command(agent.address)).status).toBe(200);
    expect(await agent.end("SIGTERM")).toBe(0);
  });

  it("C15: is no order by another path or method, or out of a web page", async () => {
    const { agent } = await deploy();
    const send = async (method: string, path: string, headers: Record<string, string> = {}) => {
      const { status, headers: answered } = await fetch(`http://${agent.address}${path}`, {
        method,
        headers,
      });
      return [status, answered.get("allow")];
    };
    for (const path of ["/", "/shutdown/", "/shutdownx", "/SHUTDOWN", "/v1/stop", "//shutdown"])
      expect(await send("PUT", path)).toEqual([404, null]);
    for (const method of ["GET", "POST", "DELETE", "PATCH", "OPTIONS", "HEAD"])
      expect(await send(method, "/shutdown")).toEqual([405, "PUT"]);
    expect(await send("PUT", "/shutdown", { origin: "http://elsewhere.example" })).toEqual([403, null]);
    expect(await agent.processes()).toHaveLength(1);
    expect(await agent.receipts()).toEqual([]);
    expect(agent.journal()?.krake).toBeNull();
  });
});
