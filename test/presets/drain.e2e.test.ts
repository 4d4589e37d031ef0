import { type Socket, connect } from "node:net";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { until } from "../containers/until.ts";
import { fetchOnce, isAccepting } from "./http-client.ts";
import { type PresetBed, asServerUser, createPresetBed, freePort, upMs } from "./preset-bed.ts";

const application = fileURLToPath(new URL("fixtures/http-application.ts", import.meta.url));
const graceful = { outcome: "graceful", evidenceClass: "proven", exit: { code: 0, signal: null } };

describe("the drain of a stop", () => {
  let bed: PresetBed;
  let port: number;
  let sockets: Socket[];
  beforeEach(async () => {
    bed = await createPresetBed();
    port = await freePort();
    sockets = [];
  });
  afterEach(async () => {
    for (const socket of sockets) socket.destroy();
    await bed.end();
  });

  const serve = async (options: readonly string[], answerMs = 0) => {
    const life = await bed.begin({
      preset: "node",
      options,
      command: asServerUser([process.execPath, application]),
      environment: { PORT: String(port), ANSWER_MS: String(answerMs), EXIT_CODE: "0" },
    });
    await until("it answers", () => isAccepting(port), upMs);
    return life;
  };
  /** A client that sent `head` and got an answer, and stays connected. */
  const stay = async (head: string): Promise<Socket> => {
    const socket = connect(port, "127.0.0.1");
    sockets.push(socket);
    let answer = "";
    socket.on("data", (chunk: Buffer) => (answer += chunk.toString()));
    socket.write(`${head}\r\nHost: test\r\n\r\n`);
    await until("the answer", () => answer.includes("\r\n\r\n"));
    return socket;
  };
  const idle = () => stay("GET / HTTP/1.1");
  const webSocket = () => stay("GET /socket HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket");

  it("turns readiness off first, lets new clients in during the delay, and cuts nobody off: case 30", async () => {
    const life = await serve(["--drain-delay-ms", "2500", "--drain-timeout-ms", "500"], 5_000);
    const ended = (await Promise.all([idle(), webSocket()])).map(
      (socket) => new Promise<boolean>((resolve) => socket.once("close", resolve)),
    );
    const slow = fetchOnce(port, "/slow");
    await fetchOnce(port, "/");
    const stopped = life.stop();
    await until("readiness is off", async () => !(await life.isReady()));
    expect(await fetchOnce(port, "/")).toEqual({ status: 200, body: "ok" });
    expect(await life.status()).toMatchObject({ state: "draining", ready: true, open: false });
    await until("new clients are refused", async () => !(await isAccepting(port)));
    expect(await slow).toEqual({ status: 200, body: "done" });
    // False: closed with no error.
    expect(await Promise.all(ended)).toEqual([false, false]);
    const receipt = await stopped;
    expect(receipt).toMatchObject(graceful);
    expect(receipt.phases[0]).toMatchObject({ phase: "drain", result: "late" });
    expect(receipt.phases[0]?.ms).toBeGreaterThanOrEqual(2_499);
  });

  it("ends when the application does, whose exit status counts: case 11", async () => {
    const life = await serve(["--drain-delay-ms", "60000", "--drain-timeout-ms", "1000"]);
    const stopped = life.stop(120_000);
    await until("readiness is off", async () => !(await life.isReady()));
    process.kill(await life.mainPid(), "SIGTERM");
    const receipt = await stopped;
    expect(receipt).toMatchObject({ ...graceful, signals: [] });
    expect(receipt.phases[0]).toMatchObject({ phase: "drain", result: "done" });
    expect(receipt.phases[0]?.ms).toBeLessThan(30_000);
  });

  it("ends once the last client left, long before its time is over", async () => {
    const life = await serve(["--drain-timeout-ms", "10000"]);
    const socket = await idle();
    const stopped = life.stop();
    await until("readiness is off", async () => !(await life.isReady()));
    expect(await life.status()).toMatchObject({ state: "draining" });
    socket.destroy();
    const receipt = await stopped;
    expect(receipt).toMatchObject(graceful);
    expect(receipt.phases[0]).toMatchObject({ phase: "drain", result: "done", detail: "0 connected" });
  });

  it("is done with as many clients as may stay, and waits for one more to leave", async () => {
    const life = await serve(["--drain-timeout-ms", "5000", "--drain-max-connections", "1"]);
    await webSocket();
    const receipt = await life.stop();
    expect(receipt).toMatchObject(graceful);
    expect(receipt.phases[0]).toMatchObject({ phase: "drain", result: "done", detail: "1 connected" });
  });

  it("says how many were left when its time was over", async () => {
    const life = await serve(["--drain-timeout-ms", "1000"]);
    await idle();
    await webSocket();
    const receipt = await life.stop();
    expect(receipt).toMatchObject(graceful);
    expect(receipt.phases[0]).toMatchObject({ phase: "drain", result: "late", detail: "2 connected" });
  });
});
