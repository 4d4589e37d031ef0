import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, type Server, type Socket, createServer as createTcpServer } from "node:net";
import { afterEach, expect, it } from "vitest";
import { greetEndpoint } from "./greet-endpoint.ts";

const servers: Server[] = [];
const sockets = new Set<Socket>();
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  for (const server of servers.splice(0)) {
    const closed = once(server, "close");
    server.close();
    await closed;
  }
});

async function listen(server: Server): Promise<string> {
  servers.push(server);
  server.on("connection", (socket: Socket) => void sockets.add(socket.on("error", () => undefined)));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
const greet = (endpoint: string, timeoutMs = 5_000, signal = new AbortController().signal) =>
  greetEndpoint({ endpoint, timeoutMs, signal });

it.each([200, 301, 403, 503])("takes any answer, like %i", async (status) => {
  const endpoint = await listen(createServer((_, response) => void response.writeHead(status).end("x")));
  await expect(greet(endpoint)).resolves.toBeUndefined();
});

it("leaves what the probe says better to it: nobody listens there", async () => {
  const endpoint = await listen(createTcpServer());
  for (const server of servers.splice(0)) server.close();
  await expect(greet(endpoint)).resolves.toBeUndefined();
});

it("ends with its own time where nobody answers, or quietly with the caller", async () => {
  const endpoint = await listen(createTcpServer(() => undefined));
  await expect(greet(endpoint, 100)).rejects.toMatchObject({
    code: "storage-unreachable",
    message: expect.stringContaining("does not answer within 100 ms") as string,
  });
  const stop = new AbortController();
  const greeting = greet(endpoint, 60_000, stop.signal);
  stop.abort();
  await greeting;
});

it("tells what is no HTTP from what closes at once", async () => {
  const other = await listen(createTcpServer((socket) => socket.end("220 mail ESMTP\r\n")));
  await expect(greet(other)).rejects.toThrow("does not speak HTTP; correct the port");
  const closing = await listen(createTcpServer((socket) => socket.destroy()));
  await expect(greet(closing)).rejects.toThrow("it closes the connection without an answer");
  await expect(greet(other.replace("http:", "https:"))).rejects.toThrow("does not speak TLS; write http://");
});
