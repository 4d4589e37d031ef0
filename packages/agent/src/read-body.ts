import type { IncomingMessage } from "node:http";

export const bodyLimitBytes = 1_000_000;

/** The body as text, or null when it is longer than the limit; the rest is not read then. */
export async function readBody(request: IncomingMessage): Promise<string | null> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > bodyLimitBytes) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
