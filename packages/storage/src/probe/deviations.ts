import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { type AppError, isAppError } from "@baton/protocol";
import type { BucketPort } from "../bucket.port.ts";
import { listsNestedKeys } from "../nested-keys.ts";
import type { ObjectStore } from "../object-store.port.ts";
import { findOpenUploads } from "../open-uploads.ts";
import { controlPrefix } from "../prefix.ts";
import type { Within } from "./probe-door.ts";
import { type ProbeTest, type TestName, verdict } from "./probe-tests.ts";
import { putRequest } from "./send-to-url.ts";

/** What stores do in different ways without harm to the lease; told with the result, so that nobody has to find out. */
export async function probeDeviations(params: {
  readonly stores: readonly ObjectStore[];
  readonly buckets: readonly BucketPort[];
  readonly newKey: () => string;
  readonly within: Within;
  /** Also what takes seconds. */
  readonly thorough: boolean;
  /** Certificates to trust, for the presigned URL. */
  readonly ca: string | undefined;
}): Promise<readonly ProbeTest[]> {
  const { stores, buckets, newKey, within, thorough } = params;
  const [store] = stores;
  const [bucket] = buckets;
  if (store === undefined || bucket === undefined) return [];
  const written = async (body: string) => {
    const key = newKey();
    const put = await store.put(within({ key, body }));
    return { key, etag: put.kind === "stored" ? put.etag : '"none"' };
  };

  const results = [
    test("what one endpoint took is listed at once at every other", async () => {
      const { key } = await written("listed");
      for (const [n, each] of buckets.entries())
        if (!(await lists(each, key, within))) return `endpoint ${n + 1} did not list it`;
      return null;
    }),
    test("an object below another object's key is listed", async () => {
      const listed = await listsNestedKeys({ store, bucket, ...listing(within) });
      return listed ? null : "not listed, though it can be read: an inventory would lack it";
    }),
    test("open uploads are listed by prefix", async () => {
      const { complete } = await findOpenUploads({ bucket, ...listing(within) });
      return complete ? null : "one that was open was not listed";
    }),
    test("a removal with a stale If-Match is refused", async () => {
      const { key, etag } = await written("one");
      await store.put(within({ key, body: "two" }));
      return (await bucket.removeIf(within({ key, etag }))) === "refused" ? null : "removed";
    }),
    test("completing a multipart upload heeds its condition", async () => {
      const { key } = await written("there already");
      const upload = await bucket.createMultipart(within({ key }));
      const part = await bucket.uploadPart(within({ ...upload, partNumber: 1, body: "part" }));
      const condition = { kind: "absent" } as const;
      const done = await bucket.completeMultipart(within({ ...upload, parts: [part], condition }));
      if (done === "completed") return "completed over an object that was there";
      await bucket.abortUpload(within(upload));
      return null;
    }),
    test("an aborted upload is gone", async () => {
      const key = newKey();
      const upload = await bucket.createMultipart(within({ key }));
      const part = await bucket.uploadPart(within({ ...upload, partNumber: 1, body: "part" }));
      await bucket.abortUpload(within(upload));
      const late = await bucket
        .completeMultipart(within({ ...upload, parts: [part] }))
        .catch((error: unknown) => (isAppError(error) ? "failed" : Promise.reject(toError(error))));
      return late === "completed" ? "completed after it was aborted" : null;
    }),
    test("older versions are kept", async () => {
      const { status, why } = await bucket.readVersioning(within({}));
      return status === "enabled" ? null : `${status}: ${why}`;
    }),
  ];
  if (thorough)
    results.push(
      test("a presigned URL is refused when its validity is over", async () => {
        const url = await bucket.presignPut({ key: newKey(), validitySeconds: 1 });
        await sleep(3_000);
        const status = await putTo(url, params.ca, within({}).timeoutMs);
        const isRefused = (status >= 400 && status < 500) || status === 501;
        return isRefused ? null : `answered with ${status}`;
      }),
    );
  const tests: ProbeTest[] = [];
  for (const run of results) tests.push(await run());
  return tests;
}

/** `run` says what is wrong, or null. What a store refuses to do at all is a deviation as well. */
const test = (name: TestName, run: () => Promise<string | null>) => async (): Promise<ProbeTest> => {
  try {
    const wrong = await run();
    return verdict(name, wrong === null, wrong ?? "as it should be");
  } catch (error) {
    if (!isAppError(error) || !isAnswer(error)) throw error;
    return verdict(name, false, error.message);
  }
};

/** Definite, as opposed to no answer. */
const isAnswer = ({ code }: AppError): boolean =>
  code !== "storage-unclear" && code !== "storage-unreachable" && code !== "deadline-exceeded";

/** Of Baton's own scratch keys. */
const listing = (within: Within) => {
  const { timeoutMs } = within({});
  return { prefix: `${controlPrefix}probe/`, pageTimeoutMs: timeoutMs, deadlineMs: timeoutMs };
};

async function lists(bucket: BucketPort, key: string, within: Within): Promise<boolean> {
  const { timeoutMs } = within({});
  const limits = { pageTimeoutMs: timeoutMs, deadlineMs: timeoutMs };
  for await (const { entries } of bucket.listVersions({ prefix: key, ...limits }))
    if (entries.some((entry) => entry.key === key)) return true;
  return false;
}

/** The status of an upload to a URL that carries its own signature. */
async function putTo(url: string, ca: string | undefined, timeoutMs: number): Promise<number> {
  const body = "late";
  const request = putRequest(url, {
    ca,
    length: body.length,
    signal: AbortSignal.timeout(Math.ceil(timeoutMs)),
  });
  request.end(body);
  const [response] = (await once(request, "response")) as [IncomingMessage];
  response.resume();
  return response.statusCode ?? 0;
}

const toError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)));
