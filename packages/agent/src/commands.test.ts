import { once } from "node:events";
import { request } from "node:http";
import { connect } from "node:net";
import { type Command, bodySha256, createKeyPair, newPlacementId, signCommand } from "@baton/protocol";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Bed, createBed } from "./fixtures/agent-bed.ts";

let bed: Bed;
let stop: Extract<Command, { kind: "stop" }>;
let epoch: number;
beforeEach(async () => {
  bed = await createBed();
  const started = await bed.run();
  epoch = started.epoch;
  stop = {
    kind: "stop",
    key: bed.newKey("stop"),
    operation: bed.operation,
    run: started.run,
    deadlineMs: 5_000,
  };
});
afterEach(() => bed.end());

/** The application lives, was sent nothing, and the agent's epoch is what it was. */
async function expectUntouched(): Promise<void> {
  expect(await bed.processes()).toHaveLength(1);
  expect(await bed.effects()).toEqual(["exec"]);
  expect(await bed.status()).toMatchObject({ state: "running", epoch });
}

describe("a stop command that is refused changes nothing", () => {
  it("without a token, with a broken one, or with one of another key", async () => {
    const stranger = await createKeyPair();
    const { placement } = bed.config;
    const foreign = await signCommand({ key: stranger.privateKey, placement, epoch, command: stop });
    for (const token of ["", "x", "a.b.c", foreign]) {
      const answer = await bed.post("/v1/stop", token);
      expect(answer).toMatchObject({ status: 401, body: { code: "unauthenticated" } });
      expect(JSON.stringify(answer)).not.toContain(token || "Bearer");
    }
    await expectUntouched();
  });

  it("with an expired token", async () => {
    const token = await bed.sign(stop, epoch, { now: new Date(Date.now() - 60_000) });
    expect(await bed.post("/v1/stop", token)).toMatchObject({ status: 401, body: { code: "token-expired" } });
    await expectUntouched();
  });

  it("with a token for another placement", async () => {
    const token = await bed.sign(stop, epoch, { placement: newPlacementId() });
    expect(await bed.post("/v1/stop", token)).toMatchObject({ status: 403, body: { code: "token-foreign" } });
    await expectUntouched();
  });

  it("with a token for another kind of command", async () => {
    const token = await bed.sign({ kind: "read" }, epoch);
    expect(await bed.post("/v1/stop", token)).toMatchObject({ status: 401 });
    await expectUntouched();
  });

  it("with a token that was used before, also in an earlier life of the agent", async () => {
    const withdraw = { kind: "withdraw", key: "some.other.key", operation: bed.operation } as const;
    const token = await bed.sign(withdraw, epoch);
    const refused = await bed.sign({ ...stop, key: bed.newKey("stop") }, epoch - 1);
    expect(await bed.post("/v1/withdraw", token)).toMatchObject({ status: 200 });
    expect(await bed.post("/v1/stop", refused)).toMatchObject({ status: 403, body: { code: "stale-epoch" } });
    await bed.agent.close();
    await bed.begin();
    expect(await bed.post("/v1/withdraw", token)).toMatchObject({
      status: 403,
      body: { code: "token-replayed" },
    });
    expect(await bed.post("/v1/stop", refused)).toMatchObject({
      status: 403,
      body: { code: "token-replayed" },
    });
    await expectUntouched();
  });

  it("of an older epoch", async () => {
    const token = await bed.sign(stop, epoch - 1);
    expect(await bed.post("/v1/stop", token)).toMatchObject({ status: 403, body: { code: "stale-epoch" } });
    await expectUntouched();
  });

  it("about another run", async () => {
    const run = { ...stop.run, counter: 9 };
    for (const token of [await bed.sign({ ...stop, run }, epoch), await bed.sign(stop, epoch + 5)])
      expect(await bed.post("/v1/stop", token)).toMatchObject({ status: 409, body: { code: "wrong-state" } });
    await expectUntouched();
  });

  it("under a key that was withdrawn", async () => {
    const { key, operation } = stop;
    const token = await bed.sign({ kind: "withdraw", key, operation }, epoch);
    expect(await bed.post("/v1/withdraw", token)).toMatchObject({ status: 200, body: { state: "running" } });
    const answer = await bed.post("/v1/stop", await bed.sign(stop, epoch));
    expect(answer).toMatchObject({ status: 409, body: { code: "command-withdrawn" } });
    await expectUntouched();
  });

  it("under a key that was used for another command", async () => {
    const { key } = await bed.postStop({ run: stop.run, epoch });
    await bed.receipt(key);
    const body = JSON.stringify({ environment: {} });
    const start = {
      kind: "start",
      key,
      operation: bed.operation,
      grant: "g",
      deadlineMs: 1_000,
      bodySha256: bodySha256(body),
    } as const;
    const answer = await bed.post("/v1/start", await bed.sign(start, epoch + 1), body);
    expect(answer).toMatchObject({ status: 409, body: { code: "command-conflict" } });
    expect((await bed.status()).epoch).toBe(epoch);
  });
});

describe("one token", () => {
  it("comes through once, however many send it", async () => {
    const token = await bed.sign(stop, epoch);
    const answers = await Promise.all(Array.from({ length: 20 }, () => bed.post("/v1/stop", token)));
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([
      202,
      ...Array.from({ length: 19 }, () => 403),
    ]);
    expect(await bed.receipt(stop.key)).toMatchObject({ outcome: "graceful" });
    expect(await bed.effects()).toEqual(["exec", "signal", "receipt"]);
  });
});

describe("a start command", () => {
  it("is refused with another body than the signed one, and while something runs", async () => {
    const body = JSON.stringify({ environment: {} });
    const command = {
      kind: "start",
      operation: bed.operation,
      grant: "g",
      deadlineMs: 1_000,
      bodySha256: bodySha256(body),
    } as const;
    const token = async () => bed.sign({ ...command, key: bed.newKey("start") }, epoch + 1);
    const changed = await bed.post("/v1/start", await token(), JSON.stringify({ environment: { A: "1" } }));
    expect(changed).toMatchObject({ status: 401, body: { code: "unauthenticated" } });
    const second = await bed.post("/v1/start", await token(), body);
    expect(second).toMatchObject({ status: 409, body: { code: "wrong-state" } });
    await expectUntouched();
  });
});

describe("the HTTP server", () => {
  const send = async (method: string, path: string, headers: Record<string, string> = {}, body?: string) => {
    const call = request(bed.agent.endpoint.url + path, { method, headers });
    call.on("error", () => {});
    call.end(body);
    const [response] = (await once(call, "response")) as [import("node:http").IncomingMessage];
    let text = "";
    for await (const chunk of response) text += String(chunk);
    return {
      status: response.statusCode,
      type: response.headers["content-type"],
      allow: response.headers.allow,
      text,
    };
  };

  it("answers every wrong request with a problem document that repeats nothing of it", async () => {
    const token = `Bearer ${await bed.sign({ kind: "read" }, 0)}`;
    const cases = [
      [await send("GET", "/nowhere-marker"), 404],
      [await send("GET", "/v1/stop"), 405],
      [await send("POST", "/v1/stop", { "content-type": "text/plain" }, "marker"), 415],
      [await send("GET", "/v1/operations/marker", { authorization: token }), 404],
      [await send("GET", "/v1/status"), 401],
      [await send("GET", "/v1/operations/%2e%2e%2fkey.json?marker"), 401],
    ] as const;
    for (const [answer, status] of cases) {
      expect(answer).toMatchObject({ status, type: "application/problem+json" });
      expect(answer.text).not.toContain("marker");
    }
    expect(cases[1][0].allow).toBe("POST");
    await expectUntouched();
  });

  it("reads no more than a megabyte", async () => {
    const command = {
      kind: "start",
      key: "k",
      operation: bed.operation,
      grant: "g",
      deadlineMs: 1_000,
      bodySha256: "0".repeat(64),
    } as const;
    const authorization = `Bearer ${await bed.sign(command, epoch + 1)}`;
    const answer = await send(
      "POST",
      "/v1/start",
      { authorization, "content-type": "application/json" },
      "x".repeat(1_100_000),
    );
    expect(answer).toMatchObject({ status: 400 });
    await expectUntouched();
  });

  it("survives what is not HTTP", async () => {
    const { hostname, port } = new URL(bed.agent.endpoint.url);
    const socket = connect(Number(port), hostname);
    socket.end("\u0000\u0001 nonsense\r\n\r\n");
    socket.resume();
    await once(socket, "close");
    expect((await send("GET", "/livez")).status).toBe(200);
  });

  it("lets clients in only after open", async () => {
    expect((await send("GET", "/readyz")).status).toBe(503);
    const open = { kind: "open", operation: bed.operation, run: stop.run } as const;
    expect(await bed.post("/v1/open", await bed.sign(open, epoch))).toMatchObject({
      status: 200,
      body: { open: true },
    });
    expect((await send("GET", "/readyz")).status).toBe(200);
    await bed.postStop({ run: stop.run, epoch });
    expect((await send("GET", "/readyz")).status).toBe(503);
    expect((await send("GET", "/livez")).status).toBe(200);
  });
});
