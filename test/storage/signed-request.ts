/** What the bed asks of a store beyond objects: buckets, versioning, sessions. One request a connection, nothing retried. */
import { request } from "node:http";
import type { AccessKey } from "@baton/protocol";
import aws4 from "aws4";

export async function signedRequest(params: {
  readonly endpoint: string;
  readonly accessKey: AccessKey;
  readonly method: "GET" | "PUT" | "POST";
  /** With the query. */
  readonly path: string;
  readonly body?: string;
  readonly service?: "s3" | "sts";
  readonly contentType?: string;
}): Promise<string> {
  const { endpoint, accessKey, method, path, body = "", service = "s3" } = params;
  const { hostname, port, host } = new URL(endpoint);
  const contentType = params.contentType ?? "application/octet-stream";
  const { sessionToken, ...key } = accessKey;
  const { headers } = aws4.sign(
    { method, host, path, body, service, region: "us-east-1", headers: { "content-type": contentType } },
    sessionToken === undefined ? key : { ...key, sessionToken },
  );
  return new Promise((resolve, reject) => {
    const call = request(
      { hostname, port, method, path, headers, agent: false, timeout: 60_000 },
      (answer) => {
        let text = "";
        answer.setEncoding("utf8");
        answer.on("data", (chunk: string) => (text += chunk));
        answer.on("error", reject);
        answer.on("end", () =>
          Math.floor((answer.statusCode ?? 0) / 100) === 2
            ? resolve(text)
            : reject(new Error(`${method} ${path} at ${endpoint}: ${answer.statusCode} ${text}`)),
        );
      },
    );
    call.on("timeout", () => call.destroy(new Error(`${method} ${path} at ${endpoint}: no answer in 60 s`)));
    call.on("error", reject);
    call.end(body);
  });
}
