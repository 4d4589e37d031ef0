import { request } from "node:http";

/** What an agent answered to `PUT /shutdown`. Krake ignores all of it. */
export interface CommandAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
  /** From the connection to the end of the answer. */
  readonly ms: number;
}

/**
 * Hop A, byte for byte as python-requests sends it for Krake's controller: no credential, no body, no timeout. Redirects and proxies, which
 * requests would follow, are not.
 *
 * @param address host:port
 * @param signal ends the call with the test, since nothing else does
 * @throws what the connection does: refused, reset
 */
export function sendCommand(address: string, signal: AbortSignal): Promise<CommandAnswer> {
  const sentAt = performance.now();
  return new Promise((resolve, reject) => {
    const call = request(`http://${address}/shutdown`, {
      method: "PUT",
      agent: false,
      setHost: false,
      signal,
      // In this order, and under these names.
      headers: Object.entries({
        Host: address,
        "User-Agent": "python-requests/2.31.0",
        "Accept-Encoding": "gzip, deflate",
        Accept: "*/*",
        Connection: "keep-alive",
        "Content-Length": "0",
      }).flat(),
    });
    call.once("error", reject);
    call.once("response", (response) => {
      let body = "";
      response.on("data", (chunk: Buffer) => (body += chunk.toString()));
      response.once("error", reject);
      response.once("end", () => {
        // One session for each call: the connection goes with it.
        call.destroy();
        const { statusCode = 0, headers } = response;
        resolve({ status: statusCode, headers, body, ms: performance.now() - sentAt });
      });
    });
    call.end();
  });
}
