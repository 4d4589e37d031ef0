import { describe, expect, it } from "vitest";
import { decodeAwsChunked } from "./aws-chunked.ts";

const encoded = Buffer.from("5\r\nhello\r\nA\r\n0123456789\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n");

async function decode(...parts: ReadonlyArray<Buffer>): Promise<{ text: string; trailers: object }> {
  async function* source() {
    yield* parts;
  }
  const trailers = new Map<string, string>();
  const chunks: Buffer[] = [];
  for await (const chunk of decodeAwsChunked(source(), trailers)) chunks.push(chunk);
  return { text: Buffer.concat(chunks).toString(), trailers: Object.fromEntries(trailers) };
}

describe("decodeAwsChunked", () => {
  it("gives the body and its trailers wherever the network cuts it", async () => {
    const expected = { text: "hello0123456789", trailers: { "x-amz-checksum-crc32": "AAAA" } };
    for (let at = 0; at <= encoded.length; at += 1)
      expect(await decode(encoded.subarray(0, at), encoded.subarray(at))).toEqual(expected);
  });

  it("refuses every body that ends early", async () => {
    for (let at = 0; at < encoded.length; at += 1)
      await expect(decode(encoded.subarray(0, at))).rejects.toMatchObject({ code: "IncompleteBody" });
  });

  it("refuses broken framing", async () => {
    const broken = [
      "z\r\n",
      "5\r\nhello!\r\n0\r\n\r\n",
      "0\r\n\r\nmore",
      "0\r\nno colon\r\n\r\n",
      "0".repeat(2000),
    ];
    for (const text of broken)
      await expect(decode(Buffer.from(text))).rejects.toMatchObject({ code: "IncompleteBody" });
  });
});
