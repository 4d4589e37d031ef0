import { Agent, request } from "node:http";
import { type Socket, connect } from "node:net";
import { type Command, agentOperationSchema, parseAs } from "@baton/protocol";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Bed, createBed, until } from "./fixtures/agent-bed.ts";

let bed: Bed;
let stop: Extract<Command, { kind: "stop" }>;
let epoch: number;
const sockets: Socket[] = [];
beforeEach(async () => {
  bed = await createBed({ hook: { graceMs: 20_000 } });
  const started = await bed.run();
  epoch = started.epoch;
  const { operation } = bed;
  stop = { kind: "stop", key: bed.newKey("stop"), operation, run: started.run, deadlineMs: 40_000 };
}, 60_000);
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await bed.end();
}, 60_000);

/** Opens a connection and sends what never becomes a whole request. Resolves once it stands. */
function holdOpen(words: string): Promise<Socket> {
  const { hostname, port } = new URL(bed.agent.endpoint.url);
  const socket = connect(Number(port), hostname);
  sockets.push(socket);
  socket.on("error", () => {});
  return new Promise((resolve) => socket.once("connect", () => socket.write(words, () => resolve(socket))));
}

describe("case 31: slow-loris", { timeout: 120_000 }, () => {
  it("with 200 connections of unfinished heads and bodies leaves the agent to everybody else, and is cut off", async () => {
    const token = await bed.sign({ kind: "read" }, 0);
    const slowHead = "POST /v1/stop HTTP/1.1\r\nHost: a\r\nX-A: ";
    const slowBody = `POST /v1/start HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{`;
    const slow = await Promise.all(
      Array.from({ length: 200 }, (_, index) => holdOpen(index % 2 === 0 ? slowHead : slowBody)),
    );
    const ended = Promise.all(
      slow.map((socket) => new Promise((resolve) => socket.once("close", resolve).resume())),
    );
    // Somebody who keeps it alive byte by byte gains nothing.
    const drip = setInterval(() => {
      for (const socket of slow) if (socket.writable) socket.write("x");
    }, 200);
    try {
      const { status } = await bed.postStop({ run: stop.run, epoch, key: stop.key, deadlineMs: 40_000 });
      expect(status).toBe(202);
      await until("the receipt", async () => (await bed.settled(stop.key)).state === "receipt", 60_000);
      expect((await bed.receipt(stop.key)).outcome).toBe("graceful");
      expect((await fetch(`${bed.agent.endpoint.url}/livez`)).status).toBe(200);
      await ended;
    } finally {
      clearInterval(drip);
    }
    expect(await bed.effects()).toEqual(["exec", "signal", "receipt"]);
  });
});

describe("case 31: 1,000 stops at once", { timeout: 120_000 }, () => {
  /** On connections of their own, as from 1,000 callers. */
  const post = async (token: string, agent: Agent): Promise<{ status: number; body: string }> =>
    new Promise((resolve, reject) => {
      const headers = { authorization: `Bearer ${token}` };
      const call = request(`${bed.agent.endpoint.url}/v1/stop`, { method: "POST", agent, headers });
      call.once("error", reject);
      call.once("response", (response) => {
        let body = "";
        response.on("data", (chunk: Buffer) => (body += chunk.toString()));
        response.once("end", () => resolve({ status: response.statusCode ?? 0, body }));
      });
      call.end();
    });

  it("of one key are one stop, and all get the same answer", async () => {
    const tokens = await Promise.all(Array.from({ length: 1_000 }, () => bed.sign(stop, epoch)));
    const agent = new Agent({ keepAlive: false, maxSockets: 1_000 });
    const before = process.memoryUsage.rss();
    // On a machine that is starved a connection may be cut off after 5 s: its caller asks again under the same key, as hook-client does.
    const answers = await Promise.all(
      tokens.map((token) => post(token, agent).catch(async () => post(await bed.sign(stop, epoch), agent))),
    );
    const grown = process.memoryUsage.rss() - before;
    agent.destroy();
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202]));
    const operations = answers.map(({ body }) => parseAs(agentOperationSchema, JSON.parse(body), "it"));
    // Those that came after its end got the receipt: the same one.
    expect(new Set(operations.map(({ key }) => key))).toEqual(new Set([stop.key]));
    const receipts = operations.flatMap((operation) =>
      operation.state === "receipt" ? [operation.receipt] : [],
    );
    expect(new Set(receipts).size).toBeLessThanOrEqual(1);
    expect((await bed.receipt(stop.key)).outcome).toBe("graceful");
    expect(await bed.effects()).toEqual(["exec", "signal", "receipt"]);
    // Both sides are in this process.
    expect(grown).toBeLessThan(400e6);
  });

  it("without a valid token change nothing, and the application's own stop goes on", async () => {
    const agent = new Agent({ keepAlive: false, maxSockets: 500 });
    const forged = (await bed.sign(stop, epoch)).replace(/.{6}$/, "AAAAAA");
    const flood = Promise.all(Array.from({ length: 1_000 }, () => post(forged, agent)));
    const { status } = await bed.postStop({ run: stop.run, epoch, key: stop.key, deadlineMs: 40_000 });
    expect(status).toBe(202);
    expect(new Set((await flood).map((answer) => answer.status))).toEqual(new Set([401]));
    agent.destroy();
    expect((await bed.receipt(stop.key)).outcome).toBe("graceful");
    expect(await bed.effects()).toEqual(["exec", "signal", "receipt"]);
  });

  it("of 50 operations are one stop of the application, and a receipt for each", async () => {
    const keys = Array.from({ length: 50 }, () => bed.newKey("stop"));
    const answers = await Promise.all(keys.map((key) => bed.postStop({ run: stop.run, epoch, key })));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202]));
    for (const key of keys) expect(await bed.receipt(key)).toMatchObject({ key, evidenceClass: "proven" });
    expect((await bed.effects()).filter((effect) => effect === "signal")).toHaveLength(1);
  });
});
