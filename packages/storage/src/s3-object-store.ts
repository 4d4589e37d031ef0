import type { AccessKey } from "@baton/protocol";
import { AppError } from "@baton/protocol";
import type { ObjectStore, PutCondition } from "./object-store.port.ts";
import { type S3Answer, failedAnswer, s3Code } from "./s3-answer.ts";
import { type S3Location, type S3Request, createS3Client } from "./s3-request.ts";

/** How a store wants an ETag in If-Match: with its quotes, as HTTP has it, or without (Ceph). Never guessed: the probe finds it. */
export type IfMatchForm = "quoted" | "bare";

/**
 * The bucket at an S3 endpoint, with keep-alive connections that `close` ends.
 *
 * @param params.onAnswer is told of every answer, whatever it says.
 * @throws AppError `invalid-configuration` when the endpoint is not an http or https URL.
 */
export function openObjectStore(
  params: S3Location & {
    readonly accessKey: AccessKey | (() => Promise<AccessKey>);
    readonly ifMatch?: IfMatchForm | undefined;
    /** What a request says that the time is; by default this machine's clock. */
    readonly now?: (() => Date) | undefined;
    readonly onAnswer?: ((answer: S3Answer) => void) | undefined;
  },
): ObjectStore & { close(): void } {
  const { endpoint, bucket, ifMatch = "quoted", onAnswer } = params;
  const client = createS3Client(params);
  const send = async (request: S3Request): Promise<S3Answer> => {
    const answer = await client.send(request);
    onAnswer?.(answer);
    return answer;
  };
  const failed = (doing: string, answer: S3Answer): AppError =>
    failedAnswer({ doing, endpoint, bucket, answer });

  return {
    get: async ({ key, timeoutMs }) => {
      const doing = `read "${key}"`;
      const answer = await send({ method: "GET", key, doing, timeoutMs });
      if (answer.status === 200)
        return { body: answer.body, etag: etagOf(answer, () => failed(doing, answer)) };
      if (answer.status === 404 && s3Code(answer) === "NoSuchKey") return null;
      throw failed(doing, answer);
    },
    put: async ({ key, body, condition, timeoutMs }) => {
      const doing = `write "${key}"`;
      const headers = conditionHeaders(condition, ifMatch);
      const answer = await send({ method: "PUT", key, body, headers, doing, timeoutMs });
      if (answer.status === 200) return { kind: "stored", etag: etagOf(answer, () => failed(doing, answer)) };
      if (isRefusal(answer, condition)) return { kind: "refused" };
      throw failed(doing, answer);
    },
    remove: async ({ key, timeoutMs }) => {
      const doing = `remove "${key}"`;
      const answer = await send({ method: "DELETE", key, doing, timeoutMs });
      const gone = answer.status === 404 && s3Code(answer) === "NoSuchKey";
      if (answer.status !== 204 && answer.status !== 200 && !gone) throw failed(doing, answer);
    },
    close: () => client.close(),
  };
}

function conditionHeaders(
  condition: PutCondition | undefined,
  form: IfMatchForm,
): Readonly<Record<string, string>> {
  if (condition === undefined) return {};
  if (condition.kind === "absent") return { "if-none-match": "*" };
  return { "if-match": form === "bare" ? condition.etag.replaceAll('"', "") : condition.etag };
}

/** A 409 says that another write of the key was under way, a 404 that `match` found no object (S3 user guide, "conditional writes"). */
function isRefusal(answer: S3Answer, condition: PutCondition | undefined): boolean {
  if (condition === undefined) return false;
  if (answer.status === 404) return condition.kind === "match" && s3Code(answer) === "NoSuchKey";
  return answer.status === 412 || answer.status === 409;
}

function etagOf(answer: S3Answer, otherwise: () => AppError): string {
  if (answer.etag === undefined || answer.etag === "") throw otherwise();
  return answer.etag;
}
