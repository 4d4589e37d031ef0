import { S3Error } from "./s3-error.ts";

/** Both ends belong to it. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/**
 * The one range of a Range header, cut at the object's end; null for none, and for several or other units, which a server may answer with
 * the whole (RFC 9110, 14.2).
 * @throws S3Error `InvalidRange` when nothing of it is there.
 */
export function parseRange(header: string | undefined, size: number): ByteRange | null {
  const [, first = "", last = ""] = /^bytes=(\d*)-(\d*)$/.exec(header ?? "") ?? [];
  if (first === "" && last === "") return null;
  const start = first === "" ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === "" || last === "" ? size - 1 : Math.min(Number(last), size - 1);
  if (first !== "" && last !== "" && Number(last) < start) return null;
  if (start > end) throw new S3Error("InvalidRange", "Nothing of the range is there.");
  return { start, end };
}
