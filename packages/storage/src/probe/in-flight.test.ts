import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { BucketPort } from "../bucket.port.ts";
import { createMemoryBucket } from "../memory-bucket.ts";
import { measureInFlight } from "./in-flight.ts";

/** Takes a whole body; what it does with half of one is the test's. */
let server: http.Server;
let onSilence: (request: http.IncomingMessage, response: http.ServerResponse) => void;
/** After the head alone; the same as in the body unless said. */
let onHead: typeof onSilence | undefined;
let status: number;
beforeEach(async () => {
  status = 200;
  onHead = undefined;
  server = http.createServer((request, response) => {
    const head = setTimeout(() => (onHead ?? onSilence)(request, response), 50);
    request.once("data", (chunk: Buffer) => {
      clearTimeout(head);
      if (chunk.byteLength === 64) response.writeHead(status).end();
      else onSilence(request, response);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

const measure = (limitMs: number) => {
  const store = createMemoryBucket().open();
  const { port } = server.address() as AddressInfo;
  const bucket = { presignPut: async () => `http://127.0.0.1:${port}/x` } as unknown as BucketPort;
  const door = {
    endpoint: "here",
    control: () => store,
    data: store,
    bucket: () => bucket,
    seen: () => null,
  };
  return measureInFlight({ door, limitMs });
};

it("is the time until the store ends the connection", async () => {
  onSilence = (request) => void setTimeout(() => request.destroy(), 300);
  const bound = await measure(10_000);
  expect(bound.ms).toBeGreaterThan(250);
  expect(bound.ms).toBeLessThan(5_000);
  expect(bound.ended).toContain("ended the connection");
});

it("is the time until the store answers", async () => {
  onSilence = (_request, response) => void setTimeout(() => response.writeHead(408).end(), 300);
  const bound = await measure(10_000);
  expect(bound.ms).toBeGreaterThan(250);
  expect(bound.ended).toBe("answered with 408");
});

it.each(["head", "body"] as const)(
  "is the longer one when the silence after the %s is borne longer",
  async (longer) => {
    const end =
      (ms: number): typeof onSilence =>
      (_request, response) =>
        void setTimeout(() => response.writeHead(408).end(), ms);
    onHead = end(longer === "head" ? 600 : 10);
    onSilence = end(longer === "body" ? 600 : 10);
    expect((await measure(10_000)).ms).toBeGreaterThan(550);
  },
);

it.each(["head", "body"] as const)(
  "is none where the silence after the %s is borne for ever",
  async (longer) => {
    const end: typeof onSilence = (_request, response) => void response.writeHead(408).end();
    onHead = longer === "head" ? () => undefined : end;
    onSilence = longer === "body" ? () => undefined : end;
    expect((await measure(500)).ms).toBeNull();
  },
);

it("is none where the store waits longer than may be", async () => {
  onSilence = () => undefined;
  expect(await measure(300)).toEqual({ endpoint: "here", ms: null, ended: "still waiting" });
});

it("is none where the upload is rejected at once, which only looks like a short one", async () => {
  status = 403;
  onSilence = (request) => request.destroy();
  expect(await measure(10_000)).toMatchObject({ ms: null, ended: expect.stringContaining("403") as unknown });
});
