import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetBucketVersioningCommand,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandOutput,
  ListObjectVersionsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { type AccessKey, AppError, isAppError } from "@baton/protocol";
import type { BucketPort, OpenUpload, VersionPage, Versioning } from "./bucket.port.ts";
import { type Marker, readObjectsPage, readUploadsPage, readVersionsPage } from "./bucket-listing.ts";
import { type Page, readPages } from "./bucket-pages.ts";
import { type CallOptions, openBucketTransport } from "./bucket-transport.ts";
import { type Clock, systemClock } from "./clock.ts";
import type { IfMatchForm } from "./s3-object-store.ts";
import type { S3Location } from "./s3-request.ts";

type From =
  | { readonly kind: "versions"; readonly marker: Marker }
  | { readonly kind: "objects"; readonly token: string };

/**
 * The bucket at an S3 endpoint as it is read and administered, on the AWS SDK, with keep-alive connections that `close` ends. Nothing is
 * retried but the pages of listings.
 *
 * @param params.pageSize entries a page of a listing; the store's own, usually 1000, by default.
 * @throws AppError `invalid-configuration` when the endpoint is not an http or https URL.
 */
export function openBucket(
  params: S3Location & {
    readonly accessKey: AccessKey;
    readonly ifMatch?: IfMatchForm | undefined;
    readonly pageSize?: number | undefined;
    readonly clock?: Clock | undefined;
  },
): BucketPort {
  const { bucket: Bucket, ifMatch = "quoted", pageSize, clock = systemClock } = params;
  const s3 = openClient(params);
  const pages = { Bucket, EncodingType: "url" } as const;
  const matching = (etag: string): string => (ifMatch === "bare" ? etag.replaceAll('"', "") : etag);

  const listVersionsFrom = async (
    Prefix: string,
    marker: Marker | undefined,
    call: CallOptions,
  ): Promise<Page<VersionPage, From>> => {
    const input = {
      ...pages,
      Prefix,
      MaxKeys: pageSize,
      KeyMarker: marker?.key,
      VersionIdMarker: marker?.id,
    };
    const output = await ask({ ...call, root: "ListVersionsResult" }, (options) =>
      s3.send(new ListObjectVersionsCommand(input), options),
    );
    const { content, next } = readVersionsPage(output, call.doing);
    return {
      content: { kind: "versions", entries: content },
      next: next === null ? null : { kind: "versions", marker: next },
    };
  };
  const listObjectsFrom = async (
    Prefix: string,
    token: string | undefined,
    call: CallOptions,
  ): Promise<Page<VersionPage, From>> => {
    const input = { ...pages, Prefix, MaxKeys: pageSize, ContinuationToken: token };
    const output = await ask({ ...call, root: "ListBucketResult" }, (options) =>
      s3.send(new ListObjectsV2Command(input), options),
    );
    const { content, next } = readObjectsPage(output, call.doing);
    return {
      content: { kind: "objects", entries: content },
      next: next === null ? null : { kind: "objects", token: next },
    };
  };

  return {
    listVersions: ({ prefix, ...limit }) => {
      const doing = `list "${prefix}"`;
      const read = async (from: From | null, request: PageRequest): Promise<Page<VersionPage, From>> => {
        const call = callOf(doing, request);
        if (from?.kind === "objects") return listObjectsFrom(prefix, from.token, call);
        try {
          return await listVersionsFrom(prefix, from?.marker, call);
        } catch (error) {
          if (from !== null || !saysThatItCannot(error)) throw error;
          return listObjectsFrom(prefix, undefined, call);
        }
      };
      return readPages({ ...limit, doing, clock, read });
    },

    readVersioning: async ({ timeoutMs }) => {
      const call = { ...callOf("read the versioning", { timeoutMs }), root: "VersioningConfiguration" };
      try {
        const { Status } = await ask(call, (options) =>
          s3.send(new GetBucketVersioningCommand({ Bucket }), options),
        );
        return versioningOf(Status);
      } catch (error) {
        if (!isAppError(error) || !(saysThatItCannot(error) || error.meta?.["s3Code"] === "AccessDenied"))
          throw error;
        return { status: "unknown", why: error.message };
      }
    },

    listUploads: async ({ prefix: Prefix, ...limit }) => {
      const doing = `list the open uploads of "${Prefix}"`;
      const read = async (from: Marker | null, request: PageRequest): Promise<Page<OpenUpload[], Marker>> => {
        const input = {
          Bucket,
          Prefix,
          MaxUploads: pageSize,
          KeyMarker: from?.key,
          UploadIdMarker: from?.id,
        };
        const list = (encoding: {
          readonly EncodingType?: "url";
        }): Promise<ListMultipartUploadsCommandOutput> =>
          ask({ ...callOf(doing, request), root: "ListMultipartUploadsResult" }, (options) =>
            s3.send(new ListMultipartUploadsCommand({ ...input, ...encoding }), options),
          );
        const encoded = await list({ EncodingType: "url" });
        // Ceph encodes the keys without saying so: what does not say it is asked for again as it is.
        return readUploadsPage(encoded.EncodingType === "url" ? encoded : await list({}), doing);
      };
      const uploads: OpenUpload[] = [];
      for await (const page of readPages({ ...limit, doing, clock, read })) uploads.push(...page);
      return uploads;
    },

    abortUpload: async ({ key, uploadId, timeoutMs }) => {
      const input = { Bucket, Key: key, UploadId: uploadId };
      try {
        await ask(callOf(`abort an upload of "${key}"`, { timeoutMs }), (options) =>
          s3.send(new AbortMultipartUploadCommand(input), options),
        );
      } catch (error) {
        if (!isAppError(error) || error.meta?.["s3Code"] !== "NoSuchUpload") throw error;
      }
    },

    createMultipart: async ({ key, timeoutMs }) => {
      const doing = `begin an upload of "${key}"`;
      const output = await ask(
        { ...callOf(doing, { timeoutMs }), root: "InitiateMultipartUploadResult" },
        (options) => s3.send(new CreateMultipartUploadCommand({ Bucket, Key: key }), options),
      );
      return { key, uploadId: required(output.UploadId, "upload id", doing) };
    },

    uploadPart: async ({ key, uploadId, partNumber, body, timeoutMs }) => {
      const doing = `upload a part of "${key}"`;
      const input = { Bucket, Key: key, UploadId: uploadId, PartNumber: partNumber, Body: body };
      const { ETag } = await ask(callOf(doing, { timeoutMs }), (options) =>
        s3.send(new UploadPartCommand(input), options),
      );
      return { partNumber, etag: required(ETag, "ETag", doing) };
    },

    completeMultipart: async ({ key, uploadId, parts, condition, timeoutMs }) => {
      const doing = `complete an upload of "${key}"`;
      const Parts = parts.map(({ partNumber, etag }) => ({ PartNumber: partNumber, ETag: etag }));
      const input = {
        Bucket,
        Key: key,
        UploadId: uploadId,
        MultipartUpload: { Parts },
        IfNoneMatch: condition?.kind === "absent" ? "*" : undefined,
        IfMatch: condition?.kind === "match" ? matching(condition.etag) : undefined,
      };
      const call = { ...callOf(doing, { timeoutMs }), root: "CompleteMultipartUploadResult" };
      try {
        // Its ETag is not looked at: Ceph gives an empty one.
        await ask(call, (options) => s3.send(new CompleteMultipartUploadCommand(input), options));
        return "completed";
      } catch (error) {
        if (condition !== undefined && isRefusal(error, condition.kind === "match")) return "refused";
        throw error;
      }
    },

    removeIf: async ({ key, etag, timeoutMs }) => {
      const input = { Bucket, Key: key, IfMatch: matching(etag) };
      try {
        await ask(callOf(`remove "${key}"`, { timeoutMs }), (options) =>
          s3.send(new DeleteObjectCommand(input), options),
        );
        return "removed";
      } catch (error) {
        if (isRefusal(error, true)) return "refused";
        throw error;
      }
    },

    presignPut: ({ key, validitySeconds }) =>
      getSignedUrl(s3, new PutObjectCommand({ Bucket, Key: key }), { expiresIn: validitySeconds }),

    close: () => s3.destroy(),
  };
}

function openClient(params: S3Location & { readonly accessKey: AccessKey }): S3Client {
  const { endpoint, region, addressing, accessKey } = params;
  const { sessionToken, ...credentials } = accessKey;
  return new S3Client({
    endpoint,
    region,
    forcePathStyle: addressing !== "virtual-host",
    credentials: sessionToken === undefined ? credentials : { ...credentials, sessionToken },
    requestHandler: { ...openBucketTransport(params) },
    maxAttempts: 1,
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    // What follows would else come from this machine's environment and ~/.aws.
    retryMode: "standard",
    useFipsEndpoint: false,
    useDualstackEndpoint: false,
    useArnRegion: false,
    disableMultiregionAccessPoints: true,
    disableS3ExpressSessionAuth: true,
    followRegionRedirects: false,
    userAgentAppId: "baton",
  });
}

interface PageRequest {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

const callOf = (doing: string, { timeoutMs, signal }: PageRequest): CallOptions => ({
  doing,
  root: null,
  requestTimeout: timeoutMs,
  ...(signal === undefined ? {} : { abortSignal: signal }),
});

/** One request. @throws AppError, also for an answer that the SDK cannot read; the signal's reason when it is aborted. */
async function ask<T>(call: CallOptions, send: (options: CallOptions) => Promise<T>): Promise<T> {
  try {
    return await send(call);
  } catch (cause) {
    call.abortSignal?.throwIfAborted();
    if (isAppError(cause)) throw cause;
    throw new AppError(
      "storage-failed",
      `cannot ${call.doing}: the request cannot be made or its answer cannot be read; check the names and that the endpoint is an S3 store`,
      { cause },
    );
  }
}

function versioningOf(status: string | undefined): Versioning {
  if (status === "Enabled") return { status: "enabled", why: "the store says so" };
  if (status === "Suspended") return { status: "suspended", why: "the store says so" };
  return status === undefined || status === ""
    ? { status: "never", why: "the store says nothing of it" }
    : { status: "unknown", why: "the store says something that S3 does not say" };
}

/** That the store has no such request: it says so, or answers it with the objects, like a store that overlooks what it does not know. */
const saysThatItCannot = (error: unknown): boolean =>
  isAppError(error) &&
  (error.meta?.["status"] === 501 ||
    error.meta?.["status"] === 405 ||
    error.meta?.["root"] === "ListBucketResult");

/** As for a conditional PUT; a conflict and a failed condition may also come within a 200. */
function isRefusal(error: unknown, isMatch: boolean): boolean {
  if (!isAppError(error)) return false;
  const { status, s3Code } = error.meta ?? {};
  if (status === 404) return isMatch && s3Code === "NoSuchKey";
  return (
    status === 412 ||
    status === 409 ||
    s3Code === "PreconditionFailed" ||
    s3Code === "ConditionalRequestConflict"
  );
}

function required(value: string | undefined, name: string, doing: string): string {
  if (value === undefined || value === "")
    throw new AppError(
      "storage-failed",
      `cannot ${doing}: the answer has no ${name}; check that the endpoint is an S3 store`,
    );
  return value;
}
