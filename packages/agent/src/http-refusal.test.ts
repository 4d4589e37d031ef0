import { readFileSync, statSync } from "node:fs";
import { type Socket, connect } from "node:net";
import { join } from "node:path";
import { type Command, createKeyPair, signCommand } from "@baton/protocol";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Bed, createBed } from "./fixtures/agent-bed.ts";

let bed: Bed;
let stop: Extract<Command, { kind: "stop" }>;
let epoch: number;
const sockets: Socket[] = [];
beforeEach(async () => {
  bed = await createBed({ config: { confirm: null } });
  const started = await bed.run();
  epoch = started.epoch;
  const { operation } = bed;
  stop = { kind: "stop", key: bed.newKey("stop"), operation, run: started.run, deadlineMs: 5_000 };
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await bed.end();
});

/** Sends bytes, and gives all that came back once the agent has ended the connection, or `until` was in it. */
function exchange(words: string, until = "\u0000"): Promise<string> {
  const { hostname, port } = new URL(bed.agent.endpoint.url);
  const socket = connect(Number(port), hostname);
  sockets.push(socket);
  return new Promise((resolve) => {
    let text = "";
    socket.on("error", () => resolve(text));
    socket.once("close", () => resolve(text));
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
      if (text.includes(until)) resolve(text);
    });
    socket.write(words);
  });
}
const statusesIn = (text: string): number[] =>
  [...text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => Number(status));
const journalPath = (): string => join(bed.config.stateDirectory, "journal");
/** Everything that lasts. */
const traces = () => ({
  journal: readFileSync(journalPath(), "utf8"),
  inode: statSync(journalPath()).ino,
  // Renewals of the lease go on by themselves.
  requests: bed.requests.filter(({ key }) => !key.includes("lease")).length,
});
async function expectUntouched(): Promise<void> {
  expect(await bed.processes()).toHaveLength(1);
  expect(await bed.effects()).toEqual(["exec"]);
  expect(await bed.status()).toMatchObject({ state: "running", epoch });
}
/** A head whose body is promised and never sent: who answers it has not read it. */
const head = (path: string, ...headers: string[]): string =>
  [
    `POST ${path} HTTP/1.1`,
    "Host: agent",
    "Content-Length: 900000",
    "Content-Type: application/json",
    ...headers,
    "",
    "",
  ].join("\r\n");

describe("case 31: what is refused", { timeout: 60_000 }, () => {
  it("unsigned costs no read of the body, no write of the journal and no call to the store", async () => {
    const stranger = await createKeyPair();
    const { placement } = bed.config;
    const foreign = await signCommand({ key: stranger.privateKey, placement, epoch, command: stop });
    const good = await bed.sign(stop, epoch);
    const flipped = good.slice(0, -8) + (good.at(-8) === "A" ? "B" : "A") + good.slice(-7);
    const old = await bed.sign(stop, epoch, { now: new Date(Date.now() - 60_000) });
    const other = await bed.sign(stop, epoch, { placement: "pl-00000000000000000000" });
    const before = traces();
    for (const path of ["/v1/stop", "/v1/start", "/v1/burn", "/v1/withdraw", "/v1/open", "/v1/keys"])
      for (const headers of [
        [],
        ["Authorization: Basic YTpi"],
        ["Authorization: Bearer x"],
        ...[foreign, flipped, old, other].map((token) => [`Authorization: Bearer ${token}`]),
      ]) {
        const [status] = statusesIn(await exchange(head(path, ...headers)));
        expect([401, 403]).toContain(status);
      }
    expect(traces()).toEqual(before);
    await expectUntouched();
  });

  it("although it is signed keeps its nonce, which a second sending meets, and changes nothing else", async () => {
    const token = await bed.sign({ ...stop, run: { ...stop.run, counter: 7 } }, epoch);
    const before = traces();
    expect(await bed.post("/v1/stop", token)).toMatchObject({ status: 409 });
    const { nonces: before_, ...was } = JSON.parse(before.journal) as { nonces: object };
    const { nonces, ...is } = JSON.parse(traces().journal) as { nonces: object };
    expect(is).toEqual(was);
    expect(Object.keys(nonces).length).toBe(Object.keys(before_).length + 1);
    const after = traces();
    expect(await bed.post("/v1/stop", token)).toMatchObject({
      status: 403,
      body: { code: "token-replayed" },
    });
    expect(traces()).toEqual(after);
    await expectUntouched();
  });

  it("is everything that a browser can send: form, text, a page's origin, a rebound name", async () => {
    const token = await bed.sign(stop, epoch);
    const authorization = `Authorization: Bearer ${token}`;
    const post = (...headers: string[]): string =>
      ["POST /v1/stop HTTP/1.1", ...headers, "Content-Length: 1", "Connection: close", "", "x"].join("\r\n");
    const sent = [
      [post("Host: evil.example", "Content-Type: text/plain"), 415],
      [post("Host: evil.example", "Content-Type: application/x-www-form-urlencoded"), 415],
      [post("Host: evil.example", "Origin: http://evil.example", "Content-Type: application/json"), 403],
      [post("Host: agent", "Origin: null", "Content-Type: application/json", authorization), 403],
      [post("Host: 127.0.0.1.evil.example", "Content-Type: application/json"), 401],
      [
        "OPTIONS /v1/stop HTTP/1.1\r\nHost: a\r\nOrigin: http://evil.example\r\nConnection: close\r\n\r\n",
        405,
      ],
    ] as const;
    for (const [words, status] of sent) {
      const answer = await exchange(words);
      expect(statusesIn(answer)).toEqual([status]);
      // No preflight is ever allowed.
      expect(answer.toLowerCase()).not.toContain("access-control-");
    }
    await expectUntouched();
  });

  it("GET never has a side effect, whatever the path and the token", async () => {
    const before = traces();
    for (const path of ["/v1/stop", "/v1/start", "/v1/burn", "/v1/withdraw", "/v1/open", "/v1/keys"]) {
      const authorization = `Authorization: Bearer ${await bed.sign(stop, epoch)}`;
      for (const method of ["GET", "HEAD", "PUT", "DELETE"]) {
        const words = `${method} ${path} HTTP/1.1\r\nHost: a\r\n${authorization}\r\nConnection: close\r\n\r\n`;
        expect(statusesIn(await exchange(words))).toEqual([405]);
      }
    }
    for (const path of ["/livez", "/readyz", "/metrics", "/v1/status", `/v1/operations/${stop.key}`, "/"])
      await exchange(`GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
    expect(traces()).toEqual(before);
    await expectUntouched();
  });

  it.each([
    [
      "headers beyond 16 kB",
      `GET /livez HTTP/1.1\r\nHost: a\r\nX: ${"x".repeat(20_000)}\r\n\r\n`,
      [400, 431],
    ],
    ["a target beyond it", `GET /${"x".repeat(20_000)} HTTP/1.1\r\nHost: a\r\n\r\n`, [400, 431]],
    ["no host", "GET /livez HTTP/1.1\r\n\r\n", [400]],
    [
      "two lengths",
      "POST /v1/stop HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
      [400],
    ],
    [
      "length and chunks",
      "POST /v1/stop HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      [400],
    ],
    ["a header split by a bare CR", "GET /livez HTTP/1.1\r\nHost: a\r\nX: a\rY: b\r\n\r\n", [400]],
    ["another protocol", "\u0016\u0003\u0001\u0002\u0000\u0001", [400]],
  ])("is refused and its connection ended: %s", async (_, words, statuses) => {
    const [status, ...more] = statusesIn(await exchange(words));
    expect(statuses).toContain(status);
    expect(more).toEqual([]);
    await expectUntouched();
  });

  it("behind good requests in one write: the good ones are answered, the rest is not carried out", async () => {
    const good = "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n";
    const unread = `${head("/v1/stop")}GET /livez HTTP/1.1\r\nHost: a\r\n\r\n`;
    const answered = statusesIn(await exchange(`${good}${good}nonsense\r\n\r\n`));
    expect(answered[0]).toBe(200);
    expect(answered.at(-1)).toBe(400);
    expect(answered.length).toBeLessThanOrEqual(3);
    // What looks like a request is the body of the one before.
    expect(statusesIn(await exchange(good + unread))).toEqual([200, 401]);
    await expectUntouched();
  });
});
