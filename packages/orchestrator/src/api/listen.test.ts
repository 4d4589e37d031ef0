import { connect } from "node:net";
import { pino } from "pino";
import { afterEach, describe, expect, it } from "vitest";
import type { AppDeps } from "./create-app.ts";
import { type Listener, listen } from "./listen.ts";

const open: Listener[] = [];
afterEach(async () => {
  for (const listener of open.splice(0)) await listener.close();
});

async function start(deps: () => AppDeps | undefined, port = 0): Promise<Listener> {
  const listener = await listen({ host: "127.0.0.1", port }, deps);
  open.push(listener);
  return listener;
}

const none = (): Promise<never> => Promise.reject(new Error("not asked for"));
const deps: AppDeps = {
  authenticate: async () => ({ name: "bootstrap", role: "admin" }),
  audit: { begin: none, end: none, list: none },
  tokens: { create: none, list: none, revoke: none },
  log: pino({ level: "silent" }),
  apply: none,
  clusters: async () => [],
  databases: none,
  applications: none,
  adopt: none,
  storages: { list: none, show: none, probe: none, rotate: none, inventory: none, remove: none },
  route: none,
  traffic: none,
  plans: { plan: none },
  operations: { start: none, find: none, list: none, decide: none, explain: none, receipts: none },
  ready: async () => true,
  metrics: none,
  confirm: none,
};

/** Sends bytes as they are and gives what comes back until the connection ends. */
function send(url: string, bytes: string): Promise<string> {
  const { port, hostname } = new URL(url);
  return new Promise((resolve, reject) => {
    let text = "";
    const socket = connect(Number(port), hostname, () => socket.write(bytes));
    socket.setTimeout(5_000, () => socket.destroy(new Error("no end")));
    socket.on("data", (chunk) => (text += chunk.toString()));
    socket.once("close", () => resolve(text));
    socket.once("error", reject);
  });
}

describe("listening", () => {
  it("answers that it is not ready until it is", async () => {
    let ready: AppDeps | undefined;
    const { url } = await start(() => ready);
    const early = await fetch(`${url}/livez`);
    expect([early.status, early.headers.get("retry-after")]).toEqual([503, "1"]);
    ready = deps;
    expect((await fetch(`${url}/livez`)).status).toBe(200);
  });

  it("says without a token whether it takes requests", async () => {
    let ready = true;
    const { url } = await start(() => ({ ...deps, ready: async () => ready }));
    const look = async (): Promise<unknown> => {
      const answer = await fetch(`${url}/readyz`);
      return [answer.status, await answer.json()];
    };
    expect(await look()).toEqual([200, { ready: true }]);
    ready = false;
    expect(await look()).toEqual([503, { ready: false }]);
  });

  it("says that the port is taken", async () => {
    const { url } = await start(() => deps);
    const port = Number(new URL(url).port);
    await expect(start(() => deps, port)).rejects.toMatchObject({
      code: "invalid-configuration",
      message: expect.stringContaining(`127.0.0.1:${port}`),
    });
  });

  it.each([
    ["no HTTP", "hunter2\r\n\r\n"],
    ["a broken target", "GET http://[hunter2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"],
    ["a broken host", "GET /hunter2 HTTP/1.1\r\nHost: hunter2 hunter2\r\nConnection: close\r\n\r\n"],
    ["no host", "GET /hunter2 HTTP/1.1\r\nConnection: close\r\n\r\n"],
  ])("refuses %s without an echo", async (_name, bytes) => {
    const { url } = await start(() => deps);
    const answer = await send(url, bytes);
    expect(answer).toMatch(/^HTTP\/1.1 4\d\d /);
    expect(answer).not.toContain("hunter2");
    expect((await fetch(`${url}/livez`)).status).toBe(200);
  });

  it("ends with clients that are still there", async () => {
    const { url } = await start(() => ({ ...deps, clusters: () => new Promise(() => undefined) }));
    const waiting = fetch(`${url}/v1/clusters`, { headers: { authorization: "Bearer t" } });
    const ended = waiting.catch((error: unknown) => error);
    await fetch(`${url}/livez`);
    await open.pop()?.close();
    expect(await ended).toMatchObject({ message: "fetch failed" });
  });
});
