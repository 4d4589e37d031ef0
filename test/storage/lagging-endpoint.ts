/**
 * An endpoint that has not heard of any disabling: it lets everybody in and signs with a key of its own. Such are a replica whose memory
 * of users is behind, and a gateway that trusts its clients.
 */
import { once } from "node:events";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import type { AccessKey } from "@baton/protocol";
import aws4 from "aws4";

export interface LaggingEndpoint {
  readonly endpoint: string;
  close(): Promise<void>;
}

/** @param listings another store whose listings it passes off as its own when Baton asks: what it lists is not what it has. */
export async function openLaggingEndpoint(
  store: string,
  accessKey: AccessKey,
  listings = store,
): Promise<LaggingEndpoint> {
  const server = createServer((incoming, answer) => {
    const { method = "GET", url: path = "/", headers } = incoming;
    const isListing = method === "GET" && /^\/[^/]+\/?\?/.test(path);
    const isBatons = headers["user-agent"]?.includes("app/baton") === true;
    const { host, hostname, port } = new URL(isListing && isBatons ? listings : store);
    const names = ["content-length", "content-type", "x-amz-content-sha256"];
    const given = Object.fromEntries(names.map((name) => [name, headers[name]]).filter(([, value]) => value));
    const signed = aws4.sign(
      { method, host, path, service: "s3", region: "us-east-1", headers: given },
      { accessKeyId: accessKey.accessKeyId, secretAccessKey: accessKey.secretAccessKey },
    );
    const outgoing = request(
      { hostname, port, method, path, headers: signed.headers, agent: false },
      (from) => {
        answer.writeHead(from.statusCode ?? 502, from.headers);
        from.pipe(answer);
      },
    );
    outgoing.on("error", () => answer.destroy());
    incoming.on("error", () => outgoing.destroy());
    incoming.on("close", () => !incoming.complete && outgoing.destroy());
    incoming.pipe(outgoing);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
