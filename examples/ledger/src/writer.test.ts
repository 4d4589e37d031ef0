import { mkdtemp, rm } from "node:fs/promises";
import type { RequestListener, Server } from "node:http";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readRecordFile } from "./record-file.ts";
import type { Writer } from "./writer.ts";
import { startWriter } from "./writer.ts";

let directory: string;
let recordFile: string;
let writer: Writer | null;
const servers: Server[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "ledger-writer-"));
  recordFile = join(directory, "record.jsonl");
  writer = null;
});

afterEach(async () => {
  await writer?.stop();
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
  await rm(directory, { recursive: true });
});

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Answers each entry alike and records the ids in the order of arrival, repeats included. */
function acceptInto(ids: string[], status = 201): RequestListener {
  return (request, response) => {
    let text = "";
    request.on("data", (chunk: Buffer) => (text += chunk.toString()));
    request.on("end", () => {
      ids.push((JSON.parse(text) as { id: string }).id);
      response.writeHead(status).end("{}");
    });
  };
}

async function until(holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 5_000;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error("cannot wait longer: 5 s are over");
    await delay(5);
  }
}

describe("writer", () => {
  it("records each acknowledged entry once, with the base that answered", async () => {
    const ids: string[] = [];
    const base = await serve(acceptInto(ids));
    writer = startWriter({ route: async () => `${base}/`, recordFile });
    await until(() => (writer?.acknowledged() ?? 0) >= 20);
    await writer.stop();
    const record = await readRecordFile(recordFile);
    expect(record.map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
    expect(new Set(ids).size).toBe(writer.acknowledged());
    expect(record[0]).toMatchObject({ base, at: writer.firstAcknowledgedBy(base) });
  });

  it("keeps to its rate", async () => {
    const base = await serve(acceptInto([]));
    const begun = performance.now();
    writer = startWriter({ route: async () => base, recordFile, ratePerSecond: 200 });
    await until(() => (writer?.acknowledged() ?? 0) >= 100);
    expect(performance.now() - begun).toBeGreaterThan(480);
  });

  it("sends the same id again until it is acknowledged", async () => {
    const refused: string[] = [];
    const accepted: string[] = [];
    const accept = acceptInto(accepted);
    const refuse = acceptInto(refused, 503);
    const base = await serve((request, response) =>
      (refused.length < 5 ? refuse : accept)(request, response),
    );
    writer = startWriter({ route: async () => base, recordFile, concurrency: 2 });
    await until(() => accepted.length >= 10);
    await writer.stop();
    expect(accepted).toEqual(expect.arrayContaining(refused));
    expect(new Set(accepted).size).toBe(accepted.length);
  });

  it("does not take an answer for acknowledged whose body broke off", async () => {
    let answered = 0;
    const base = await serve((_request, response) => {
      response.writeHead(201, { "content-length": "10" });
      response.write("half");
      answered += 1;
      setImmediate(() => response.destroy());
    });
    writer = startWriter({ route: async () => base, recordFile, stopDeadlineMs: 50 });
    await until(() => answered >= 5);
    await writer.stop();
    expect(writer.acknowledged()).toBe(0);
    expect(await readRecordFile(recordFile)).toEqual([]);
  });

  it("follows the route away from a base that hangs", async () => {
    const moved: string[] = [];
    const hanging: string[] = [];
    const old = await serve((request) => request.resume().once("end", () => hanging.push("one")));
    const next = await serve(acceptInto(moved));
    let route = old;
    writer = startWriter({ route: async () => route, recordFile, concurrency: 4 });
    await until(() => hanging.length >= 4);
    route = next;
    await until(() => moved.length >= 10);
    expect(writer.firstAcknowledgedBy(old)).toBeNull();
    expect(writer.firstAcknowledgedBy(next)).toBeTypeOf("number");
  });

  it("waits while the route is unknown or cannot be asked", async () => {
    const ids: string[] = [];
    const base = await serve(acceptInto(ids));
    let asked = 0;
    writer = startWriter({
      route: async () => {
        asked += 1;
        if (asked < 3) return null;
        if (asked < 6) throw new Error("cannot ask: refused");
        return asked < 9 ? "not a URL" : base;
      },
      recordFile,
    });
    await until(() => ids.length >= 10);
    expect(asked).toBe(9);
  });

  it("gives entries up at the stop deadline and does not count them", async () => {
    const base = await serve((request) => void request.resume());
    writer = startWriter({ route: async () => base, recordFile, stopDeadlineMs: 50 });
    // Without a deadline this would wait for answers that never come, and the test for its own.
    await writer.stop();
    expect(writer.acknowledged()).toBe(0);
  });
});
