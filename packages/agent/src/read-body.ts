import type { IncomingMessage } from "node:http";

export const bodyLimitBytes = 1_000_000;

/** The body as text, or null when it is longer than the limit; the rest is left unread then, so that an answer can still be sent. */
export function readBody(request: IncomingMessage): Promise<string | null> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const collect = (chunk: Buffer): void => {
      length += chunk.length;
      if (length <= bodyLimitBytes) {
        chunks.push(chunk);
        return;
      }
      request.off("data", collect);
      request.pause();
      resolve(null);
    };
    request.on("data", collect);
    request.once("end", () => resolve(Buffer.concat(chunks).toString("utf8")));
    request.once("error", reject);
  });
}

export const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? "0") > 0;
