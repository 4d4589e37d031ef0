import type { ClusterManifest, Operation } from "@baton/protocol";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type BatonClient, createBatonClient } from "./client.ts";
import { type ApiServer, adminToken, startApiServer } from "./fixtures/api-server.ts";
import { operationId, recordCommitted } from "./fixtures/recorded-operations.ts";

const cluster: ClusterManifest = {
  kind: "cluster",
  name: "harbor-a",
  driver: "process",
  directory: "/srv/a",
};
const records = recordCommitted(Date.parse("2026-01-02T03:04:05.000Z"));
const [first, second] = records as readonly [Operation, Operation];
const last = records.at(-1) as Operation;
let server: ApiServer;
let client: BatonClient;

beforeEach(async () => {
  server = await startApiServer();
  client = createBatonClient({ url: server.url, token: adminToken });
});
afterEach(() => server.goAway());

describe("a call", () => {
  it("puts a manifest below its kind and gives back what was stored", async () => {
    expect(await client.apply(cluster)).toEqual(cluster);
    expect(server.requests).toEqual(["PUT /v1/clusters/harbor-a"]);
    expect(server.bodies).toEqual([cluster]);
  });

  it("starts an operation, shows it, lists it and tells the route", async () => {
    server.publish(first);
    const request = { kind: "migrate", application: "ledger", to: "harbor-b" } as const;
    expect(await client.startOperation(request)).toEqual(first);
    expect(server.bodies).toEqual([request]);
    expect(await client.operation(operationId)).toEqual(first);
    expect(await client.operations("ledger")).toEqual([first]);
    expect(server.requests.at(-1)).toBe("GET /v1/operations?application=ledger");
    expect(await client.route("ledger")).toEqual(server.route);
  });

  it("throws the orchestrator's own problem", async () => {
    server.refuseWith = { code: "operation-open", detail: "cannot migrate ledger: another one is open" };
    const request = { kind: "migrate", application: "ledger", to: "harbor-b" } as const;
    await expect(client.startOperation(request)).rejects.toMatchObject({
      name: "AppError",
      code: "operation-open",
      message: "cannot migrate ledger: another one is open",
    });
  });

  it("throws unauthenticated for a wrong token", async () => {
    const stranger = createBatonClient({ url: server.url, token: "other" });
    await expect(stranger.route("ledger")).rejects.toMatchObject({ code: "unauthenticated" });
  });

  it.each([
    ["text", { status: 200, body: "hello" }, "200 without JSON"],
    ["a page of a proxy", { status: 502, body: "<html>" }, "502 without JSON"],
    ["an error that is no problem", { status: 500, body: "{}" }, "500 without a problem"],
    ["nothing, since it is starting", { status: 503, body: "" }, "it is still starting"],
    ["a record of another shape", { status: 200, body: '{"id":1}' }, "cannot read the orchestrator's answer"],
  ])("refuses an answer that is %s", async (_, raw, why) => {
    server.rawAnswer = raw;
    await expect(client.operation(operationId)).rejects.toMatchObject({
      name: "AppError",
      message: expect.stringContaining(why),
    });
  });

  it("says where no orchestrator answers, and how to start one", async () => {
    await server.goAway();
    await expect(client.route("ledger")).rejects.toThrow(
      `cannot reach the orchestrator at ${server.url}: the connection was refused; start it with \`baton up\``,
    );
    expect(await client.livez()).toBe(false);
    await server.comeBack();
    expect(await client.livez()).toBe(true);
  });

  it("does not claim that an operation was not started when the answer got lost", async () => {
    server.cutNextPost = true;
    const request = { kind: "deploy", application: "ledger", to: "harbor-a" } as const;
    await expect(client.startOperation(request)).rejects.toThrow(
      "cannot say whether the deploy of ledger was started: the connection was cut",
    );
  });
});

describe("a watch", () => {
  it("gives the record now, then each change, and ends with the operation", async () => {
    server.publish(first);
    const versions: number[] = [];
    for await (const operation of client.watchOperation(operationId)) {
      versions.push(operation.version);
      server.publish(operation.version === first.version ? second : last);
    }
    expect(versions).toEqual([first.version, second.version, last.version]);
    expect(server.requests).toEqual([
      `GET /v1/operations/${operationId}`,
      `GET /v1/operations/${operationId}?waitMs=25000&after=${first.version}`,
      `GET /v1/operations/${operationId}?waitMs=25000&after=${second.version}`,
    ]);
  });

  it("goes on with an orchestrator that was killed and started again", async () => {
    server.publish(first);
    const states: string[] = [];
    for await (const operation of client.watchOperation(operationId)) {
      states.push(operation.state);
      if (operation.version !== first.version) continue;
      await server.goAway();
      server.publish(last);
      // Still away when the next poll is sent.
      setImmediate(() => void server.comeBack());
    }
    expect(states).toEqual(["open", "committed"]);
  });

  it("waits for one that is still starting", async () => {
    server.publish(last);
    server.rawAnswer = { status: 503, body: "" };
    const watch = client.watchOperation(operationId)[Symbol.asyncIterator]();
    const next = watch.next();
    await expect.poll(() => server.requests.length).toBeGreaterThan(2);
    server.rawAnswer = undefined;
    expect((await next).value).toEqual(last);
  });

  it("gives up when the outage lasts longer than allowed", async () => {
    const impatient = createBatonClient({ url: server.url, token: adminToken, outageMs: 200 });
    await server.goAway();
    const watch = impatient.watchOperation(operationId)[Symbol.asyncIterator]();
    await expect(watch.next()).rejects.toThrow("cannot reach the orchestrator");
  });

  it("does not try again what the orchestrator has refused", async () => {
    const watch = client.watchOperation(operationId)[Symbol.asyncIterator]();
    await expect(watch.next()).rejects.toMatchObject({ code: "unknown-operation" });
    expect(server.requests).toHaveLength(1);
  });

  it.each(["in a poll", "in an outage"])("ends with the reason of its signal %s", async (when) => {
    server.publish(first);
    const stop = new AbortController();
    const reason = new Error("enough");
    const watch = client.watchOperation(operationId, stop.signal)[Symbol.asyncIterator]();
    await watch.next();
    if (when === "in an outage") await server.goAway();
    const next = watch.next();
    setImmediate(() => stop.abort(reason));
    await expect(next).rejects.toBe(reason);
  });
});
