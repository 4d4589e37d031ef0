import {
  type ListMultipartUploadsCommandOutput,
  type ListObjectVersionsCommandOutput,
  type ListObjectsV2CommandOutput,
} from "@aws-sdk/client-s3";
import { AppError } from "@baton/protocol";
import type { OpenUpload, VersionEntry } from "./bucket.port.ts";
import type { Page } from "./bucket-pages.ts";
import { compareUtf8 } from "./utf8-order.ts";

/** Where the next page of versions, or of uploads, begins; the id is undefined where the store gave none. */
export interface Marker {
  readonly key: string;
  readonly id: string | undefined;
}

/** @throws AppError `storage-failed` for a page that lacks what every page of S3 has; `doing` stands in "cannot <doing>: …". */
export function readVersionsPage(
  output: ListObjectVersionsCommandOutput,
  doing: string,
): Page<VersionEntry[], Marker> {
  const decode = decoder(output.EncodingType, doing);
  const version = (each: NonNullable<typeof output.Versions>[number]): VersionEntry => ({
    ...readObject(each, decode, doing),
    versionId: idOf(each.VersionId),
    isLatest: given(each.IsLatest, "IsLatest", doing),
    deleteMarker: false,
  });
  const marker = (each: NonNullable<typeof output.DeleteMarkers>[number]): VersionEntry => ({
    key: decode(given(each.Key, "Key", doing)),
    size: 0,
    etag: "",
    versionId: idOf(each.VersionId),
    isLatest: given(each.IsLatest, "IsLatest", doing),
    deleteMarker: true,
  });
  const content = mergeByKey((output.Versions ?? []).map(version), (output.DeleteMarkers ?? []).map(marker));
  const { NextKeyMarker: key, NextVersionIdMarker: id } = output;
  const next = continuation(output.IsTruncated, key, doing, (raw) => ({
    key: decodeMarker(raw, content.at(-1)?.key, decode),
    id,
  }));
  return { content, next };
}

/** The same of a listing of the current objects. */
export function readObjectsPage(
  output: ListObjectsV2CommandOutput,
  doing: string,
): Page<VersionEntry[], string> {
  const decode = decoder(output.EncodingType, doing);
  const content = (output.Contents ?? []).map((each) => ({
    ...readObject(each, decode, doing),
    versionId: null,
    isLatest: true,
    deleteMarker: false,
  }));
  const next = continuation(output.IsTruncated, output.NextContinuationToken, doing, (token) => token);
  return { content, next };
}

/** The same of a listing of uploads. */
export function readUploadsPage(
  output: ListMultipartUploadsCommandOutput,
  doing: string,
): Page<OpenUpload[], Marker> {
  const decode = decoder(output.EncodingType, doing);
  const content = (output.Uploads ?? []).map(({ Key, UploadId }) => ({
    key: decode(given(Key, "Key", doing)),
    uploadId: given(UploadId, "UploadId", doing),
  }));
  const { NextKeyMarker: key, NextUploadIdMarker: id } = output;
  const next = continuation(output.IsTruncated, key, doing, (raw) => ({
    key: decodeMarker(raw, content.at(-1)?.key, decode),
    id,
  }));
  return { content, next };
}

/**
 * The SDK gives versions and delete markers apart. The order that the store gave stays as it is, so that a wrong one is seen: of two keys the
 * smaller goes first, of the same key the latest.
 */
function mergeByKey(versions: readonly VersionEntry[], markers: readonly VersionEntry[]): VersionEntry[] {
  const merged: VersionEntry[] = [];
  let at = 0;
  for (const marker of markers) {
    for (let version = versions[at]; version !== undefined; version = versions[at]) {
      const order = compareUtf8(version.key, marker.key);
      if (order > 0 || (order === 0 && marker.isLatest)) break;
      merged.push(version);
      at += 1;
    }
    merged.push(marker);
  }
  return [...merged, ...versions.slice(at)];
}

function readObject(
  object: {
    readonly Key?: string | undefined;
    readonly Size?: number | undefined;
    readonly ETag?: string | undefined;
  },
  decode: (text: string) => string,
  doing: string,
): Pick<VersionEntry, "key" | "size" | "etag"> {
  return {
    key: decode(given(object.Key, "Key", doing)),
    size: given(object.Size, "Size", doing),
    etag: given(object.ETag, "ETag", doing),
  };
}

/** S3 calls the version of what was written without versioning "null". */
const idOf = (id: string | undefined): string | null =>
  id === undefined || id === "" || id === "null" ? null : id;

function given<T>(value: T | undefined, name: string, doing: string): T {
  if (value === undefined || value === "")
    throw new AppError(
      "storage-failed",
      `cannot ${doing}: the store gave an entry without ${name}; check that the endpoint is an S3 store`,
    );
  return value;
}

function continuation<T>(
  isTruncated: boolean | undefined,
  marker: string | undefined,
  doing: string,
  from: (marker: string) => T,
): T | null {
  if (given(isTruncated, "IsTruncated", doing) === false) return null;
  return from(given(marker, "a continuation marker where there is more to list", doing));
}

/** Keys come percent-encoded, as asked for (XML cannot carry all of them), from stores that say so; some encode a space as "+". */
const decoder =
  (encoding: string | undefined, doing: string) =>
  (text: string): string => {
    if (encoding !== "url") return text;
    try {
      return decodeURIComponent(text.replaceAll("+", " "));
    } catch (cause) {
      throw new AppError(
        "storage-failed",
        `cannot ${doing}: the store gave a key that is not percent-encoded UTF-8; rename the object`,
        { cause },
      );
    }
  };

/** Ceph encodes the keys, but not the marker: what is the last key as it stands needs no decoding. */
const decodeMarker = (raw: string, lastKey: string | undefined, decode: (text: string) => string): string =>
  raw === lastKey ? raw : decode(raw);
