import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { decodeAwsChunked } from "./aws-chunked.ts";
import { parseS3Request } from "./s3-request.ts";
import { verifySignature } from "./signature.ts";

// The worked example of https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html: 65 KiB of "a" in two chunks.
const key = {
  accessKeyId: "AKIAIOSFODNN7EXAMPLE",
  secretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
  allow: [],
};
const headers = {
  host: "s3.amazonaws.com",
  "x-amz-date": "20130524T000000Z",
  "x-amz-storage-class": "REDUCED_REDUNDANCY",
  "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
  "content-encoding": "aws-chunked",
  "x-amz-decoded-content-length": "66560",
  "content-length": "66824",
  authorization: [
    "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request",
    "SignedHeaders=content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class",
    "Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
  ].join(","),
};
const chunks = [
  { size: 65536, signature: "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648" },
  { size: 1024, signature: "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497" },
  { size: 0, signature: "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9" },
];

function receive(encoded: string) {
  const request = parseS3Request({
    method: "PUT",
    url: "/examplebucket/chunkObject.txt",
    rawHeaders: Object.entries(headers).flat(),
  });
  const { payload } = verifySignature(request, [key], Date.parse("2013-05-24T00:00:00Z"));
  if (payload.kind !== "signed-chunks") throw new Error(`the payload is ${payload.kind}`);
  async function* source() {
    yield Buffer.from(encoded);
  }
  return decodeAwsChunked(source(), new Map(), payload.check);
}

async function drain(body: AsyncIterable<unknown>): Promise<void> {
  for await (const part of body) void part;
}

const encode = (parts: typeof chunks, fill = "a"): string =>
  parts
    .map(
      ({ size, signature }) =>
        `${size.toString(16)};chunk-signature=${signature}\r\n${fill.repeat(size)}${size === 0 ? "" : "\r\n"}`,
    )
    .join("") + "\r\n";

describe("signed chunks", () => {
  it("are the body when each signature covers the one before", async () => {
    const hash = createHash("sha256");
    for await (const part of receive(encode(chunks))) hash.update(part);
    expect(hash.digest("hex")).toBe(createHash("sha256").update("a".repeat(66560)).digest("hex"));
  });

  it.each([
    ["other bytes", encode(chunks, "b")],
    ["another order", encode([1, 0, 2].map((at) => chunks[at]!))],
    ["a chunk less", encode([0, 2].map((at) => chunks[at]!))],
  ])("refuse %s", async (_, encoded) => {
    await expect(drain(receive(encoded))).rejects.toMatchObject({ code: "SignatureDoesNotMatch" });
  });

  it("need a signature each", async () => {
    await expect(drain(receive("0\r\n\r\n"))).rejects.toMatchObject({ code: "IncompleteBody" });
  });
});
