import { connect } from "node:net";
import { newOperationId } from "@baton/protocol";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type KrakeListener, listenForKrakeConfirmations } from "./krake-listener.ts";

let listener: KrakeListener;
beforeEach(async () => {
  listener = await listenForKrakeConfirmations({ application: "demo" });
});
afterEach(() => listener.close());

/** What comes back for these bytes, until the connection ends. */
const send = (bytes: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(listener.confirmations.url);
    let answer = "";
    const socket = connect(Number(port), hostname, () => socket.write(bytes));
    socket.on("data", (chunk: Buffer) => (answer += chunk.toString()));
    socket.on("close", () => resolve(answer));
    socket.on("error", reject);
    socket.setTimeout(5_000, () => socket.destroy(new Error("the connection stayed open")));
  });
const path = "/kubernetes/namespaces/default/applications/demo/shutdown";
const head = (length: number, method = "PUT", target = path) =>
  `${method} ${target} HTTP/1.1\r\nHost: elsewhere\r\nConnection: close\r\nContent-Length: ${length}\r\n\r\n`;

describe("the listener", () => {
  it("takes a confirmation by plain HTTP, whatever host it names", async () => {
    const stop = listener.confirmations.expect({ operation: newOperationId() });
    stop.arm();
    const body = JSON.stringify({ token: listener.confirmations.token });
    const answer = await send(head(body.length) + body);
    expect(answer).toContain("HTTP/1.1 200 OK");
    expect(answer).toContain("READY_FOR_ACTION");
    expect(await stop.confirmed).toBe(stop.confirmedAt);
  });

  it("does not read on what is too long", async () => {
    const answer = await send(head(1_000_000).replace("Connection: close\r\n", "") + "x".repeat(20_000));
    expect(answer).toContain("HTTP/1.1 413");
  });

  it.each([
    ["HEAD", path, "405"],
    ["DELETE", path, "405"],
    ["GET", "/", "404"],
    ["PUT", "http://elsewhere/shutdown", "404"],
    ["PUT", "//", "404"],
    ["OPTIONS", "*", "404"],
  ])("answers %s %s with %s", async (method, target, status) => {
    expect(await send(head(0, method, target))).toContain(`HTTP/1.1 ${status}`);
  });

  it("says when its port is taken", async () => {
    const port = Number(new URL(listener.confirmations.url).port);
    await expect(listenForKrakeConfirmations({ port })).rejects.toMatchObject({ code: "EADDRINUSE" });
  });

  it("leaves the port when its options are wrong", async () => {
    const { port } = new URL(listener.confirmations.url);
    await listener.close();
    await expect(listenForKrakeConfirmations({ port: Number(port), token: "short" })).rejects.toThrow(
      "token",
    );
    listener = await listenForKrakeConfirmations({ port: Number(port) });
  });

  it("names the address that it was told", async () => {
    await listener.close();
    listener = await listenForKrakeConfirmations({
      baseUrl: "https://proxy.example/in",
      application: "demo",
    });
    expect(listener.confirmations.url).toBe(`https://proxy.example/in${path}`);
  });
});
