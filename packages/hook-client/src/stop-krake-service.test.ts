import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer as createHttpServer } from "node:http";
import { type Socket, createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isAppError, newOperationId } from "@baton/protocol";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startDeadEnd, until } from "./fixtures/dead-end.ts";
import { type KrakeService, startKrakeService } from "./fixtures/krake-service-process.ts";
import { type KrakeListener, listenForKrakeConfirmations } from "./krake-listener.ts";
import { type KrakeStopOptions, stopKrakeService } from "./stop-krake-service.ts";

// A service that only says that it stopped: a claim that belongs to this stop, or an error, and never a proof.

let listener: KrakeListener;
let service: KrakeService | null = null;
const operation = newOperationId();
beforeEach(async () => {
  listener = await listenForKrakeConfirmations();
});
afterEach(async () => {
  await service?.end();
  service = null;
  await listener.close();
});

const begin = async (environment: Readonly<Record<string, string>> = {}) => {
  service = await startKrakeService({ ...listener.confirmations.environment, ...environment });
  return service;
};
const stop = (url: string, more: Partial<KrakeStopOptions> = {}) =>
  stopKrakeService(url, { confirmations: listener.confirmations, deadlineMs: 8_000, operation, ...more });
const failure = async (call: Promise<unknown>) => {
  const error = await call.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (!isAppError(error)) throw new Error("it did not throw an AppError", { cause: error });
  expect(JSON.stringify(error) + error.message).not.toContain(listener.confirmations.token);
  return error;
};
/** The confirmation, as the service would send it. */
const confirm = async (token = listener.confirmations.token) => {
  const answer = await fetch(listener.confirmations.url, { method: "PUT", body: JSON.stringify({ token }) });
  return {
    code: answer.status,
    state: ((await answer.json()) as { status: { state?: string } }).status.state,
  };
};

describe("a service that knows Krake's protocol only", () => {
  it("is triggered, confirms, and has stopped by its own word", async () => {
    const { url, triggers, confirmations } = await begin();
    const result = await stop(url);
    expect(result).toMatchObject({ evidenceClass: "claimed", operation, tiedBy: "token", triggers: 1 });
    expect(Date.parse(result.confirmedAt)).toBeGreaterThanOrEqual(Date.parse(result.triggeredAt ?? ""));
    expect(result.stopMs).toBeGreaterThan(0);
    await until(() => confirmations().length > 0);
    expect(triggers()).toEqual(["PUT /shutdown 200"]);
    expect(confirmations()).toEqual(["200 READY_FOR_ACTION"]);
  });

  it("may confirm before it answers", async () => {
    const { url } = await begin({ ANSWER: "late" });
    expect(await stop(url)).toMatchObject({ triggers: 1 });
  });

  it("may confirm and never answer", async () => {
    const { url } = await begin({ ANSWER: "never" });
    expect(await stop(url)).toMatchObject({ triggers: 1, answered: null });
  });

  it("is asked again with pauses while it is busy or fails", async () => {
    const { url, triggers } = await begin({ STATUSES: "409,503,500,429,200" });
    expect(await stop(url)).toMatchObject({ triggers: 5 });
    expect(triggers().map((line) => line.slice(-3))).toEqual(["409", "503", "500", "429", "200"]);
  });

  it("is found once it is there", async () => {
    const dead = await startDeadEnd();
    await dead.close();
    const waiting = stop(`http://127.0.0.1:${dead.port}`);
    const { confirmations } = await begin({ PORT: String(dead.port) });
    const result = await waiting;
    expect(result.triggers).toBeGreaterThan(1);
    await until(() => confirmations().length > 0);
  });

  it("is triggered again if so wished, when its only confirmation got lost", async () => {
    let isFirst = true;
    const { confirmations } = listener;
    const relay = createHttpServer((request, response) => {
      if (isFirst) request.socket.destroy();
      else void confirm().then(({ code }) => response.writeHead(code).end("{}"));
      isFirst = false;
    });
    await new Promise<void>((resolve) => relay.listen(0, "127.0.0.1", resolve));
    const { port } = relay.address() as AddressInfo;
    const lossy = new URL(new URL(confirmations.url).pathname, `http://127.0.0.1:${port}`).href;
    const { url, triggers } = await begin({ CONFIRM: "once", KRAKE_SHUTDOWN_URL: lossy });
    const { triggers: sent } = await stop(url, { repeatTriggerMs: 50 });
    expect(sent).toBeGreaterThan(1);
    expect(triggers().length).toBeGreaterThan(1);
    relay.closeAllConnections();
    await new Promise((resolve) => relay.close(resolve));
  });
});

describe("the trigger", () => {
  let seen: string;
  let respond: (socket: Socket) => void;
  let sockets: Set<Socket>;
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("data", (chunk: Buffer) => {
      seen += chunk.toString("latin1");
      if (seen.includes("\r\n\r\n")) respond(socket);
    });
  });
  beforeEach(async () => {
    seen = "";
    sockets = new Set();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  });
  afterEach(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  const address = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  it("is PUT /shutdown with an empty body and no credential", async () => {
    respond = () => void confirm();
    await stop(`${address()}/`);
    const [head = "", body] = seen.split("\r\n\r\n");
    expect(head.split("\r\n")[0]).toBe("PUT /shutdown HTTP/1.1");
    expect(head.toLowerCase()).toContain("content-length: 0");
    expect(head.toLowerCase()).not.toMatch(/authorization|cookie|token/);
    expect(body).toBe("");
  });

  it("is delivered by the head of a 2xx, whatever the body does", async () => {
    respond = (socket) => {
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx");
      setTimeout(() => void confirm(), 50);
    };
    expect(await stop(address())).toMatchObject({ triggers: 1, answered: 200 });
  });

  it.each([302, 401, 404, 405])("answered with %i is not sent again and fails", async (status) => {
    respond = (socket) => socket.end(`HTTP/1.1 ${status} No\r\nLocation: /\r\nContent-Length: 0\r\n\r\n`);
    const error = await failure(stop(address()));
    expect(error).toMatchObject({ code: "agent-failed", meta: { triggers: 1, answered: status } });
  });

  it("whose answer got lost may have been heard: without a confirmation it is unknown", async () => {
    respond = (socket) => socket.destroy();
    const error = await failure(
      stop(address(), { deadlineMs: 1_000, retry: { retries: 1, firstPauseMs: 1 } }),
    );
    expect(error).toMatchObject({ code: "stop-unknown", meta: { delivered: "maybe", triggers: 2 } });
  });

  it("whose answer got lost may have been heard: its confirmation counts", async () => {
    respond = (socket) => {
      socket.destroy();
      void confirm();
    };
    expect(await stop(address(), { retry: { retries: 0 } })).toMatchObject({ answered: null });
  });

  it("shows no password of the address in an error", async () => {
    respond = (socket) => socket.end("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n");
    const error = await failure(stop(address().replace("//", "//user:hunter2@")));
    expect(JSON.stringify(error) + error.message).not.toContain("hunter2");
  });
});

describe("a stop without a confirmation", () => {
  it("is unknown at the deadline, and a late one is found by the same operation", async () => {
    const { url, triggers } = await begin({ CONFIRM: "never" });
    const error = await failure(stop(url, { deadlineMs: 1_000 }));
    expect(error).toMatchObject({
      code: "stop-unknown",
      meta: { delivered: "yes", answered: 200, operation },
    });
    expect(await confirm()).toEqual({ code: 200, state: "READY_FOR_ACTION" });
    expect(await stop(url)).toMatchObject({
      evidenceClass: "claimed",
      triggers: 0,
      triggeredAt: null,
      stopMs: null,
    });
    expect(triggers()).toHaveLength(1);
  });

  it("is unreachable when no trigger got anywhere, at the deadline or after as many as allowed", async () => {
    const dead = await startDeadEnd();
    await dead.close();
    const url = `http://127.0.0.1:${dead.port}`;
    const late = await failure(stop(url, { deadlineMs: 200 }));
    expect(late).toMatchObject({ code: "agent-unreachable", meta: { delivered: "no" } });
    const few = await failure(stop(url, { retry: { retries: 2, firstPauseMs: 1 } }));
    expect(few).toMatchObject({ code: "agent-unreachable", meta: { delivered: "no", triggers: 3 } });
  });

  it("ends with the reason of the caller's signal", async () => {
    const { url, triggers } = await begin({ CONFIRM: "never" });
    const controller = new AbortController();
    const waiting = stop(url, { signal: controller.signal }).catch((error: unknown) => error);
    await until(() => triggers().length > 0);
    const reason = new Error("enough");
    controller.abort(reason);
    expect(await waiting).toBe(reason);
  });

  it("is not helped by one that came before the trigger", async () => {
    const { url } = await begin({ CONFIRM: "never" });
    expect(await confirm()).toEqual({ code: 200, state: "RUNNING" });
    await expect(stop(url, { deadlineMs: 1_000 })).rejects.toMatchObject({ code: "stop-unknown" });
  });
});

describe("one service and several stops", () => {
  it("the same operation twice at once has the same confirmation", async () => {
    const { url } = await begin();
    const [left, right] = await Promise.all([stop(url), stop(url)]);
    expect(left.confirmedAt).toBe(right.confirmedAt);
  });

  it("another operation is refused while the first waits, and after it with the same token", async () => {
    const { url, triggers } = await begin({ CONFIRM: "never" });
    const waiting = stop(url);
    await until(() => triggers().length > 0);
    const other = newOperationId();
    expect(await failure(stop(url, { operation: other }))).toMatchObject({ code: "command-conflict" });
    await confirm();
    await waiting;
    expect(await failure(stop(url, { operation: other }))).toMatchObject({ code: "command-conflict" });
    expect(triggers()).toHaveLength(1);
  });

  it("a token made for the stop is given to the service first; the one from before is worth nothing", async () => {
    const directory = await mkdtemp(join(tmpdir(), "baton-krake-"));
    const file = join(directory, "token");
    const inject = ({ token }: { token: string }) => writeFile(file, token);
    const { url, confirmations } = await begin({ TOKEN_FILE: file });
    const first = listener.confirmations.token;
    expect(await stop(url, { inject })).toMatchObject({ tiedBy: "token" });
    const second = listener.confirmations.token;
    expect(await confirm(first)).toMatchObject({ code: 401 });
    expect(await stop(url, { inject, operation: newOperationId() })).toMatchObject({ tiedBy: "token" });
    expect(await confirm(second)).toMatchObject({ code: 401 });
    await until(() => confirmations().length === 2);
    await rm(directory, { recursive: true });
  });

  it("a reused token is tied by order only", async () => {
    const { url } = await begin();
    await stop(url);
    const again = await stop(url, { operation: newOperationId(), reuseToken: true });
    expect(again).toMatchObject({ tiedBy: "order", evidenceClass: "claimed" });
  });

  it("a token that cannot be given ends the stop before its trigger", async () => {
    const { url, triggers } = await begin();
    const lost = new Error("no such volume");
    await expect(stop(url, { inject: () => Promise.reject(lost) })).rejects.toBe(lost);
    const never = await failure(stop(url, { deadlineMs: 100, inject: () => new Promise(() => undefined) }));
    expect(never).toMatchObject({ code: "deadline-exceeded", meta: { triggers: 0 } });
    expect(triggers()).toEqual([]);
  });
});

describe("this side", () => {
  it("that was restarted goes on with the token and the operation that it stored", async () => {
    const { url, confirmations } = await begin();
    const { token, url: confirmUrl } = listener.confirmations;
    const { port, pathname } = new URL(confirmUrl);
    await listener.close();
    const before = new AbortController();
    const lost = stop(url, { signal: before.signal }).catch(() => "lost");
    await until(() => confirmations().length > 1);
    before.abort();
    expect(await lost).toBe("lost");
    const application = pathname.split("/").at(-2);
    listener = await listenForKrakeConfirmations({ port: Number(port), token, application });
    expect(listener.confirmations.url).toBe(confirmUrl);
    expect(await stop(url)).toMatchObject({ evidenceClass: "claimed", operation });
  });

  it.each([
    ["an address of nothing", "service:1", {}],
    ["no deadline", "http://service", { deadlineMs: Number.NaN }],
    ["TLS options for plain HTTP", "http://service", { tls: { ca: "pem" } }],
  ])("is told about %s before anything is sent", async (_, url, more) => {
    expect(await failure(stop(url, more))).toMatchObject({ code: "invalid-request" });
  });
});
