import { once } from "node:events";
import { connect } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { type Bed, createBed, until } from "./fixtures/agent-bed.ts";

let bed: Bed;
afterEach(() => bed.end(), 60_000);

it("takes the token from the second header where a proxy keeps the first one for itself", async () => {
  bed = await createBed();
  await bed.run();
  const ask = async (headers: Record<string, string>): Promise<number> =>
    (await fetch(`${bed.agent.endpoint.url}/v1/status`, { headers })).status;
  const token = `Bearer ${await bed.sign({ kind: "read" }, 0)}`;
  expect(await ask({ "baton-authorization": token, authorization: "Bearer of.the.proxy" })).toBe(200);
  expect(await ask({ "baton-authorization": token })).toBe(403);
  expect(await ask({ authorization: "Bearer of.the.proxy" })).toBe(401);
});

describe("case 33: whoever asked for a stop", { timeout: 60_000 }, () => {
  it("may leave before the answer: the stop goes on and can be asked for", async () => {
    bed = await createBed({ environment: { STOP_MS: "500" } });
    const { run, epoch } = await bed.run();
    const key = bed.newKey("stop");
    const { operation } = bed;
    const token = await bed.sign({ kind: "stop", key, operation, run, deadlineMs: 10_000 }, epoch);
    const { hostname, port } = new URL(bed.agent.endpoint.url);
    const socket = connect(Number(port), hostname);
    await once(socket, "connect");
    socket.write(`POST /v1/stop HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${token}\r\n\r\n`, () =>
      socket.resetAndDestroy(),
    );
    await until("the stop", async () => (await bed.status()).state !== "running", 30_000);
    // Somebody who waits for it may leave as well.
    const waiting = new AbortController();
    const authorization = `Bearer ${await bed.sign({ kind: "read" }, 0)}`;
    const wait = fetch(`${bed.agent.endpoint.url}/v1/operations/${key}?waitMs=30000`, {
      headers: { authorization },
      signal: waiting.signal,
    }).catch(() => null);
    waiting.abort();
    await wait;
    expect(await bed.receipt(key)).toMatchObject({ outcome: "graceful" });
    expect(await bed.effects()).toEqual(["exec", "signal", "receipt"]);
  });

  it("is told through errors, redirects, silence and a time of nobody there, with the same bytes", async () => {
    bed = await createBed();
    bed.answers.push(500, 502, 307, 408, 429, 503);
    const { run, epoch } = await bed.run();
    const { port } = bed.receiver.address() as { port: number };
    await bed.receipt((await bed.postStop({ run, epoch })).key);
    await until("six tries", () => bed.confirmations.length >= 4, 30_000);
    // Down: refused connections, as for ten minutes of an orchestrator's restart.
    bed.receiver.closeAllConnections();
    await new Promise((resolve) => bed.receiver.close(resolve));
    await until(
      "failures",
      () => bed.logs.filter((line) => line.includes("was not confirmed")).length >= 5,
      30_000,
    );
    bed.answers.length = 0;
    const before = bed.confirmations.length;
    bed.receiver.listen(port, "127.0.0.1");
    await once(bed.receiver, "listening");
    await until("the confirmation", () => bed.confirmations.length > before, 30_000);
    expect(new Set(bed.confirmations).size).toBe(1);
    // A redirect is never followed: its target would get the receipt.
    expect(bed.confirmations.length).toBeLessThanOrEqual(before + 1);
  });
});
