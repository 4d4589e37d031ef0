import { type Socket, createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Krake, createKrake } from "./krake.ts";

/** What the agent's end of hop A sees and does. */
let respond: (socket: Socket) => void;
let seen: string[];
const sockets = new Set<Socket>();
const agent = createServer((socket) => {
  sockets.add(socket);
  socket.on("error", () => undefined);
  socket.on("data", (chunk: Buffer) => {
    seen.push(chunk.toString("latin1"));
    respond(socket);
  });
});
let krake: Krake;
beforeEach(async () => {
  seen = [];
  respond = (socket) => void socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  krake = await createKrake();
  await new Promise<void>((resolve) => agent.listen(0, "127.0.0.1", resolve));
});
afterEach(async () => {
  await krake.close();
  for (const socket of sockets) socket.destroy();
  await new Promise((resolve) => agent.close(resolve));
});
const address = () => `127.0.0.1:${(agent.address() as AddressInfo).port}`;

describe("the command", () => {
  it("is sent as python-requests does it, byte for byte", async () => {
    const answer = await krake.command(address());
    expect(answer).toMatchObject({ status: 200, body: "ok" });
    expect(seen.join("").split("\r\n")).toEqual([
      "PUT /shutdown HTTP/1.1",
      `Host: ${address()}`,
      "User-Agent: python-requests/2.31.0",
      "Accept-Encoding: gzip, deflate",
      "Accept: */*",
      "Connection: keep-alive",
      "Content-Length: 0",
      "",
      "",
    ]);
    expect(krake.commands).toMatchObject([{ address: address(), answer, error: null }]);
  });

  it("takes any answer for delivered", async () => {
    respond = (socket) => void socket.write("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
    expect(await krake.command(address())).toMatchObject({ status: 500 });
  });

  it("waits for an answer for as long as Krake lives", async () => {
    respond = () => undefined;
    const pending = krake.command(address()).catch(() => "ended");
    await krake.until(() => seen.length > 0);
    expect(krake.commands[0]?.answer).toBeNull();
    await krake.close();
    expect(await pending).toBe("ended");
  });

  it("measures how long the answer took", async () => {
    respond = (socket) =>
      void setTimeout(() => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), 60);
    expect((await krake.command(address())).ms).toBeGreaterThanOrEqual(55);
  });
});

describe("the controller's sequence", () => {
  const graceMs = 40;
  const commandsOf = () => krake.commands.length;
  /** Happens while the command is on its way: no clock decides whether it is in time. */
  const atCommand = (act: () => void): void => {
    const answer = respond;
    respond = (socket) => {
      act();
      answer(socket);
    };
  };

  it("waits for the confirmation in the application's state, and takes a removed record for success", async () => {
    atCommand(() => krake.remove());
    const ending = krake.shutDown({ address: address(), graceMs });
    expect(krake.state).toBe("WAITING_FOR_CLEANING");
    expect(krake.application?.deletedAt).not.toBeNull();
    expect(krake.application?.shutdownGracePeriod).not.toBeNull();
    expect(await ending).toBe("gone");
    expect(commandsOf()).toBe(1);
  });

  it("sends one command for each attempt, then deletes or gives up", async () => {
    expect(await krake.shutDown({ address: address(), graceMs, retries: 2, strategy: "give_up" })).toBe(
      "given-up",
    );
    expect([commandsOf(), krake.state]).toEqual([3, "DEGRADED"]);
    expect(krake.retry()).toBe(true);
    expect(await krake.shutDown({ graceMs })).toBe("deleted");
    expect([commandsOf(), krake.state]).toEqual([4, "DELETING"]);
  });

  it("does not see that a migration was confirmed", async () => {
    atCommand(() => (krake.state = "READY_FOR_ACTION"));
    const options = { address: address(), graceMs, reason: "migration", strategy: "give_up" } as const;
    expect(await krake.shutDown(options)).toBe("given-up");
    expect(krake.state).toBe("DEGRADED");
  });

  it("goes on to the next attempt at once when it cannot connect or has no address", async () => {
    const startedAt = performance.now();
    expect(await krake.shutDown({ graceMs: 60_000, retries: 2 })).toBe("deleted");
    expect([commandsOf(), performance.now() - startedAt < 2_000]).toEqual([0, true]);
  });

  it("begins no second one, and none for a migration from a state that does not allow it", async () => {
    const first = krake.shutDown({ address: address(), graceMs });
    expect(await krake.shutDown({ graceMs })).toBe("ignored");
    await first;
    krake.state = "PENDING";
    expect(await krake.shutDown({ graceMs, reason: "migration" })).toBe("ignored");
    expect(commandsOf()).toBe(1);
  });

  it("gives up without a command once the application is DEGRADED", async () => {
    atCommand(() => (krake.state = "DEGRADED"));
    expect(await krake.shutDown({ address: address(), graceMs, retries: 5 })).toBe("given-up");
    expect(commandsOf()).toBe(1);
  });

  it("ends with Krake", async () => {
    const ending = krake.shutDown({ address: address(), graceMs: 60_000 });
    await krake.until(() => krake.commands[0]?.answer !== null);
    await krake.close();
    expect(await ending).toBe("closed");
  });
});
