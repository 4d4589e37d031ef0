import { createHash, randomUUID } from "node:crypto";
import { open, rm } from "node:fs/promises";
import { join } from "node:path";
import type { IncomingMessage } from "node:http";
import { crc32 } from "node:zlib";
import type { S3Request } from "./s3-request.ts";
import type { SignedPayload } from "./signature.ts";
import { bodiesFolder } from "./commit-log.ts";
import { decodeAwsChunked } from "./aws-chunked.ts";
import { S3Error } from "./s3-error.ts";

/** A body that is complete, checked and on disk, but belongs to no object before it is committed. */
export interface ReceivedBody {
  /** Relative to the store's directory. */
  readonly file: string;
  /** Quoted MD5 in hex, as S3 gives it. */
  readonly etag: string;
  /** Bytes. */
  readonly size: number;
}

/**
 * Streams a request's body into a new file, fsyncs it, and checks it against everything the request says of it.
 * A body that is refused or breaks off leaves no file.
 * @throws S3Error `MissingContentLength`, `NotImplemented`, `IncompleteBody`, `SignatureDoesNotMatch`, `XAmzContentSHA256Mismatch`, `BadDigest`; and the
 * connection's own error when the client goes away.
 */
export async function receiveBody(params: {
  readonly directory: string;
  readonly request: S3Request;
  readonly payload: SignedPayload;
  readonly stream: IncomingMessage;
}): Promise<ReceivedBody> {
  const { request, payload } = params;
  const expectedSize = declaredSize(request, payload);
  const trailers = new Map<string, string>();
  // Leaving the loop early must not destroy the connection that the error is answered on.
  const raw: AsyncIterableIterator<Buffer> = params.stream.iterator({ destroyOnReturn: false });
  const source = isChunked(payload)
    ? decodeAwsChunked(raw, trailers, payload.kind === "signed-chunks" ? payload.check : undefined)
    : raw;

  const file = `${bodiesFolder}/${randomUUID()}`;
  const path = join(params.directory, file);
  const handle = await open(path, "wx");
  try {
    const md5 = createHash("md5");
    const sha256 = createHash("sha256");
    let crc = 0;
    let size = 0;
    for await (const chunk of source) {
      md5.update(chunk);
      sha256.update(chunk);
      crc = crc32(chunk, crc);
      size += chunk.length;
      await handle.writeFile(chunk);
    }
    // A client that died in the middle: what arrived is not what it meant to write.
    if (size !== expectedSize)
      throw new S3Error("IncompleteBody", `The body has ${size} of ${expectedSize} declared bytes.`);
    if (payload.kind === "hash" && sha256.digest("hex") !== payload.sha256)
      throw new S3Error("XAmzContentSHA256Mismatch", "The body does not match x-amz-content-sha256.");
    const digest = md5.digest();
    checkDigest("content-md5", request.headers.get("content-md5"), digest);
    const crcBytes = Buffer.alloc(4);
    crcBytes.writeUInt32BE(crc);
    checkDigest("x-amz-checksum-crc32", request.headers.get("x-amz-checksum-crc32"), crcBytes);
    checkDigest("x-amz-checksum-crc32", trailers.get("x-amz-checksum-crc32"), crcBytes);
    await handle.sync();
    return { file, etag: `"${digest.toString("hex")}"`, size };
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  } finally {
    await handle.close();
  }
}

const isChunked = ({ kind }: SignedPayload): boolean =>
  kind === "unsigned-trailer" || kind === "signed-chunks";

function declaredSize(request: S3Request, payload: SignedPayload): number {
  const chunked = request.headers.has("x-amz-decoded-content-length");
  if (chunked && !isChunked(payload))
    throw new S3Error("NotImplemented", "aws-chunked is only implemented with a STREAMING payload.");
  const name = isChunked(payload) ? "x-amz-decoded-content-length" : "content-length";
  const value = request.headers.get(name) ?? "";
  if (!/^\d{1,15}$/.test(value)) throw new S3Error("MissingContentLength", `The header ${name} is missing.`);
  return Number(value);
}

function checkDigest(name: string, given: string | undefined, actual: Buffer): void {
  if (given !== undefined && given !== actual.toString("base64"))
    throw new S3Error("BadDigest", `The body does not match ${name}.`);
}
