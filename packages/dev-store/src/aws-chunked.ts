import { createHash } from "node:crypto";
import { S3Error } from "./s3-error.ts";
import type { ChunkCheck } from "./signature.ts";

/**
 * Decodes an `aws-chunked` body: without chunk signatures, as the AWS SDKs send for streams, or with them where there is a `check`.
 * A chunk's bytes come before its check, so nothing counts before the end.
 * @param trailers is filled, by lower-case name, before the generator ends.
 * @throws S3Error `IncompleteBody` when the framing is broken or ends early, and what `check` throws.
 */
export async function* decodeAwsChunked(
  source: AsyncIterator<Buffer>,
  trailers: Map<string, string>,
  check?: ChunkCheck,
): AsyncGenerator<Buffer, void> {
  const reader = new ChunkReader(source);
  const head =
    check === undefined ? /^([0-9a-f]{1,8})$/i : /^([0-9a-f]{1,8});chunk-signature=([0-9a-f]{64})$/i;
  for (;;) {
    const [, size, signature = ""] = head.exec(await reader.line()) ?? [];
    if (size === undefined) throw incomplete();
    const sha256 = createHash("sha256");
    const length = Number.parseInt(size, 16);
    for (let left = length; left > 0;) {
      const part = await reader.bytes(left);
      left -= part.length;
      if (check !== undefined) sha256.update(part);
      yield part;
    }
    check?.(signature, sha256.digest("hex"));
    if (length === 0) break;
    if ((await reader.line()) !== "") throw incomplete();
  }
  for (let line = await reader.line(); line !== ""; line = await reader.line()) {
    const colon = line.indexOf(":");
    if (colon === -1) throw incomplete();
    trailers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim());
  }
  await reader.end();
}

class ChunkReader {
  readonly #source: AsyncIterator<Buffer>;
  #pending: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterator<Buffer>) {
    this.#source = source;
  }

  /** The next line without its CRLF. */
  async line(): Promise<string> {
    for (;;) {
      const end = this.#pending.indexOf("\r\n");
      if (end !== -1) {
        const line = this.#pending.toString("latin1", 0, end);
        this.#pending = this.#pending.subarray(end + 2);
        return line;
      }
      // No line of the framing is longer; without a bound one without an end would fill the memory.
      if (this.#pending.length > 1024 || !(await this.#more())) throw incomplete();
    }
  }

  /** Between 1 and `most` bytes. */
  async bytes(most: number): Promise<Buffer> {
    if (this.#pending.length === 0 && !(await this.#more())) throw incomplete();
    const part = this.#pending.subarray(0, most);
    this.#pending = this.#pending.subarray(part.length);
    return part;
  }

  async end(): Promise<void> {
    if (this.#pending.length > 0 || (await this.#more())) throw incomplete();
  }

  async #more(): Promise<boolean> {
    let next = await this.#source.next();
    while (next.done !== true && next.value.length === 0) next = await this.#source.next();
    if (next.done === true) return false;
    this.#pending = this.#pending.length === 0 ? next.value : Buffer.concat([this.#pending, next.value]);
    return true;
  }
}

function incomplete(): S3Error {
  return new S3Error("IncompleteBody", "The aws-chunked body is malformed or ends early.");
}
