import { once } from "node:events";
import { type IncomingMessage, type Server, createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Bed, createBed, freePort, until } from "./fixtures/agent-bed.ts";

// Krake's own rules are shown in test/krake with real processes; here is what a Krake cannot do: start the next run, or send a flood.

interface Heard {
  readonly body: string;
  /** Epoch ms. */
  readonly at: number;
}

let bed: Bed;
let api: Server;
let port: number;
let heard: Heard[];
let state: string;
/** Done before the answer. */
let onConfirm: () => Promise<void>;
beforeEach(async () => {
  heard = [];
  state = "READY_FOR_ACTION";
  onConfirm = async () => {};
  api = createServer((request, response) => {
    void bodyOf(request).then(async (body) => {
      heard.push({ body, at: Date.now() });
      await onConfirm();
      response.end(JSON.stringify({ status: { state } }));
    });
  });
  api.listen(0, "127.0.0.1");
  await once(api, "listening");
  port = await freePort();
  const listen = { host: "127.0.0.1", port };
  const url = `http://127.0.0.1:${(api.address() as AddressInfo).port}/shutdown`;
  bed = await createBed({ config: { krake: { listen } }, krake: { url, token: "token", tls: null } });
});
afterEach(async () => {
  await bed.end();
  api.closeAllConnections();
  api.close();
});

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = "";
  for await (const chunk of request) body += String(chunk);
  return body;
}

const order = async (): Promise<number> =>
  (await fetch(`http://127.0.0.1:${port}/shutdown`, { method: "PUT" })).status;
const krakeFacts = () => (bed.journal() as unknown as { krake: { state: string } | null }).krake;
const confirmed = (): Promise<void> =>
  until("the confirmation is on record", () => krakeFacts()?.state === "confirmed", 30_000);
const told = (words: string): boolean => bed.logs.some((line) => line.includes(words));

describe("an order of a Krake", { timeout: 60_000 }, () => {
  it("stops by the ordinary path: lease, receipt, state", async () => {
    const { run } = await bed.run();
    expect(await order()).toBe(200);
    await confirmed();
    expect(heard.map(({ body }) => JSON.parse(body) as unknown)).toEqual([
      { token: "token", kind: "Shutdown", api: "kubernetes" },
    ]);
    expect(await bed.lease()).toMatchObject({ state: "stopped", run });
    expect(await bed.status()).toMatchObject({ state: "stopped", run });
    expect(await bed.effects()).toEqual(["exec", "signal", "receipt"]);
  });

  it("joins a stop that was commanded, and confirms its end", async () => {
    const { run, epoch } = await bed.run();
    const [{ key }] = await Promise.all([bed.postStop({ run, epoch }), order()]);
    expect(await bed.receipt(key)).toMatchObject({ outcome: "graceful" });
    await confirmed();
    expect((await bed.effects()).filter((effect) => effect === "signal")).toHaveLength(1);
  });

  it("to an agent that never started anything is confirmed: there is nothing to stop", async () => {
    await bed.begin();
    expect(await order()).toBe(200);
    await confirmed();
    expect(await bed.status()).toMatchObject({ state: "held" });
  });

  it("is no longer confirmed once the application was started again, and that run can be ordered to stop", async () => {
    state = "RUNNING";
    const { run, epoch } = await bed.run();
    await order();
    await until("a first try", () => heard.length > 0);
    const again = await bed.postStart(await bed.grant({ run, epoch }));
    const started = await bed.settled(again.key);
    if (started.state !== "started") throw new Error("not started");
    state = "READY_FOR_ACTION";
    // The longest pause so far is shorter: an old confirmation would come now.
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const from = Date.parse(started.result.execAt);
    expect(heard.filter(({ at }) => at > from)).toEqual([]);
    await order();
    await confirmed();
    expect(heard.filter(({ at }) => at > from)).toHaveLength(1);
    expect(await bed.processes()).toEqual([]);
    expect((await bed.effects()).filter((effect) => effect === "signal")).toHaveLength(2);
  });

  it("that comes while a confirmation is on its way is confirmed by one of its own", async () => {
    await bed.run();
    // Krake has taken the first one, and orders again before its answer arrives.
    onConfirm = async () => {
      onConfirm = async () => {};
      expect(await order()).toBe(200);
    };
    await order();
    await until("a second confirmation", () => heard.length === 2, 30_000);
    expect((await bed.effects()).filter((effect) => effect === "signal")).toHaveLength(1);
  });

  it("that comes just when the one before is over is an order of its own", async () => {
    await bed.run();
    for (let orders = 1; orders <= 4; orders += 1) {
      await order();
      await until("the confirmation", () => heard.length >= orders, 30_000);
      // On record, while the agent does its last steps.
      for (const endAt = performance.now() + 30_000; krakeFacts()?.state !== "confirmed";) {
        if (performance.now() > endAt) throw new Error("was not confirmed");
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
    expect(heard.length).toBeGreaterThanOrEqual(4);
  });

  it("that comes 200 times is one stop, and Krake's API hears of it no more than once a second", async () => {
    await bed.run();
    const answers = await Promise.all(Array.from({ length: 100 }, order));
    await confirmed();
    const first = heard.length;
    answers.push(...(await Promise.all(Array.from({ length: 100 }, order))));
    await until("another confirmation", () => heard.length > first, 30_000);
    expect(new Set(answers)).toEqual(new Set([200]));
    const gaps = heard.slice(1).map(({ at }, index) => at - (heard[index]?.at ?? 0));
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(900);
    expect((await bed.effects()).filter((effect) => effect === "signal")).toHaveLength(1);
  });

  it("is answered while what nobody finishes to send is held open", async () => {
    await bed.run();
    const slow = Array.from({ length: 100 }, () => connect(port, "127.0.0.1"));
    for (const socket of slow) {
      socket.on("error", () => {});
      socket.write("PUT /shutdown HTTP/1.1\r\nHost: a\r\nX-A: ");
    }
    expect(await order()).toBe(200);
    await confirmed();
    for (const socket of slow) socket.destroy();
    expect(told("Krake orders the stop")).toBe(true);
  });
});
