import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { BucketPort } from "../bucket.port.ts";
import { createMemoryBucket } from "../memory-bucket.ts";
import { measureInFlight } from "./in-flight.ts";

/** Takes a whole body; what it does with half of one is the test's. */
let server: http.Server;
let onHalf: (request: http.IncomingMessage, response: http.ServerResponse) => void;
let status: number;
beforeEach(async () => {
  status = 200;
  server = http.createServer((request, response) => {
    request.once("data", (chunk: Buffer) => {
      if (chunk.byteLength === 64) response.writeHead(status).end();
      else onHalf(request, response);
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
  onHalf = (request) => void setTimeout(() => request.destroy(), 300);
  const bound = await measure(10_000);
  expect(bound.ms).toBeGreaterThan(250);
  expect(bound.ms).toBeLessThan(5_000);
  expect(bound.ended).toContain("ended the connection");
});

it("is the time until the store answers", async () => {
  onHalf = (_request, response) => void setTimeout(() => response.writeHead(408).end(), 300);
  const bound = await measure(10_000);
  expect(bound.ms).toBeGreaterThan(250);
  expect(bound.ended).toBe("answered with 408");
});

it("is none where the store waits longer than may be", async () => {
  onHalf = () => undefined;
  expect(await measure(300)).toEqual({ endpoint: "here", ms: null, ended: "still waiting" });
});

it("is none where the upload is rejected at once, which only looks like a short one", async () => {
  status = 403;
  onHalf = (request) => request.destroy();
  expect(await measure(10_000)).toMatchObject({ ms: null, ended: expect.stringContaining("403") as unknown });
});
