import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AwsV4Signer } from "aws4fetch";
import { S3Client } from "@aws-sdk/client-s3";
import type { StoreKeys } from "./store-keys.ts";

/** The keys of the tests: one for all of `harbor`, one that only reads, one for a prefix. */
export const testKeys: StoreKeys = {
  buckets: ["harbor", "pier"],
  keys: [
    {
      accessKeyId: "ALL",
      secretAccessKey: "secret-all",
      allow: [{ bucket: "harbor", prefix: "", write: true }],
    },
    {
      accessKeyId: "READER",
      secretAccessKey: "secret-reader",
      allow: [{ bucket: "harbor", prefix: "", write: false }],
    },
    {
      accessKeyId: "LEDGER",
      secretAccessKey: "secret-ledger",
      allow: [{ bucket: "harbor", prefix: "ledger/", write: true }],
    },
  ],
};

/** A directory of its own under the system's temporary one, and how to remove it. */
export async function temporaryDirectory(): Promise<{ directory: string; remove: () => Promise<void> }> {
  const directory = await mkdtemp(join(tmpdir(), "baton-dev-store-"));
  return { directory, remove: () => rm(directory, { recursive: true, force: true }) };
}

/** The real SDK client, set up as an application would; a refusal is an answer here, so nothing is retried. */
export function sdkClient(endpoint: string, accessKeyId = "ALL", secretAccessKey = "secret-all"): S3Client {
  return new S3Client({
    endpoint,
    region: "us-east-1",
    forcePathStyle: true,
    maxAttempts: 1,
    credentials: { accessKeyId, secretAccessKey },
  });
}

export interface SignedCall {
  readonly method: string;
  readonly url: string;
  readonly body?: string | Uint8Array<ArrayBuffer> | undefined;
  readonly headers?: Record<string, string>;
  readonly accessKeyId?: string;
  readonly secretAccessKey?: string;
  /** Basic ISO 8601, as in x-amz-date. */
  readonly datetime?: string;
}

/** Signs a call with an independent signer; the result goes to `fetch` or to a raw connection. */
export async function sign(call: SignedCall): Promise<{ method: string; url: URL; headers: Headers }> {
  const { body, ...rest } = call;
  const signer = new AwsV4Signer({
    accessKeyId: "ALL",
    secretAccessKey: "secret-all",
    service: "s3",
    region: "us-east-1",
    ...rest,
    ...(body === undefined ? {} : { body }),
  });
  const { method, url, headers } = await signer.sign();
  return { method, url, headers };
}

/** Sends a signed call; gives the status, the S3 error code if there is one, and the text. */
export async function send(
  call: SignedCall,
): Promise<{ status: number; code?: string; text: string; headers: Headers }> {
  const { method, url, headers } = await sign(call);
  const response = await fetch(url, { method, headers, body: call.body ?? null });
  const text = await response.text();
  const code = /<Code>(\w+)<\/Code>/.exec(text)?.[1];
  return {
    status: response.status,
    text,
    headers: response.headers,
    ...(code === undefined ? {} : { code }),
  };
}
