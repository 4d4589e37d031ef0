import { randomUUID } from "node:crypto";
import { GetObjectCommand, ListObjectsV2Command, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import type { Segment } from "../segment.ts";
import { decodeSegment, segmentsPrefix } from "../segment.ts";
import type { Config } from "./config.ts";

/** One attempt's limit; whoever calls decides about another attempt. */
const ATTEMPT_MS = 2_000;
const READ_MS = 10_000;
const PARALLEL_READS = 8;

export type Bucket = {
  /** All segments in the order of their keys. Rejects when one cannot be read. */
  readonly readSegments: () => Promise<readonly Segment[]>;
  /** Create-only and idempotent: finding the key taken means that an earlier attempt arrived. */
  readonly putSegment: (segment: { readonly key: string; readonly body: string }) => Promise<void>;
  /** Writes a fresh canary object and reads it back; rejects unless the same bytes come back. */
  readonly tryCanary: () => Promise<void>;
};

export function openBucket(config: Config): Bucket {
  const { bucket: Bucket, prefix } = config;
  const client = new S3Client({
    endpoint: config.endpoint,
    region: config.region,
    ...(config.credentials !== null && { credentials: config.credentials }),
    forcePathStyle: true,
    maxAttempts: 1,
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
  });

  async function listSegmentKeys(): Promise<string[]> {
    const keys: string[] = [];
    let ContinuationToken: string | undefined;
    do {
      const page = await client.send(
        new ListObjectsV2Command({ Bucket, Prefix: segmentsPrefix(prefix), ContinuationToken }),
        { abortSignal: AbortSignal.timeout(READ_MS) },
      );
      for (const { Key } of page.Contents ?? []) if (Key !== undefined) keys.push(Key);
      ContinuationToken = page.IsTruncated === true ? page.NextContinuationToken : undefined;
    } while (ContinuationToken !== undefined);
    return keys.sort();
  }

  async function readText(Key: string, timeoutMs: number): Promise<string> {
    const abortSignal = AbortSignal.timeout(timeoutMs);
    const { Body } = await client.send(new GetObjectCommand({ Bucket, Key }), { abortSignal });
    if (Body === undefined) throw new Error(`cannot read ${Key}: the store answered without a body`);
    return await Body.transformToString();
  }

  return {
    async readSegments() {
      const keys = await listSegmentKeys();
      const segments: Segment[] = [];
      const queue = keys.entries();
      const readRest = async (): Promise<void> => {
        for (const [index, key] of queue) segments[index] = decodeSegment(key, await readText(key, READ_MS));
      };
      await Promise.all(Array.from({ length: PARALLEL_READS }, readRest));
      return segments;
    },

    async putSegment({ key, body }) {
      try {
        await client.send(
          new PutObjectCommand({
            Bucket,
            Key: key,
            Body: body,
            IfNoneMatch: "*",
            ContentType: "application/jsonl",
          }),
          { abortSignal: AbortSignal.timeout(ATTEMPT_MS) },
        );
      } catch (error) {
        // The key holds a UUID that only this process made: taken means that our own earlier attempt was stored and
        // its answer lost.
        if (!(error instanceof Error && error.name === "PreconditionFailed")) throw error;
      }
    },

    async tryCanary() {
      const Key = `${prefix}canary`;
      const written = `${randomUUID()}\n`;
      await client.send(new PutObjectCommand({ Bucket, Key, Body: written, ContentType: "text/plain" }), {
        abortSignal: AbortSignal.timeout(ATTEMPT_MS),
      });
      if ((await readText(Key, ATTEMPT_MS)) !== written)
        throw new Error(`cannot trust ${Key}: other bytes came back`);
    },
  };
}
