import { AppError, type ErrorCode } from "@baton/protocol";

export interface S3Answer {
  readonly status: number;
  readonly etag: string | undefined;
  /** What the store calls itself, and what time it has (HTTP date). */
  readonly server?: string | undefined;
  readonly date?: string | undefined;
  readonly body: Uint8Array;
}

/**
 * The error code of an S3 error document, or undefined. A pattern and not an XML parser: the code is a flat element of letters and digits, and
 * the parser would be 68 kB of the agent's bundle for this one word.
 */
export const s3Code = ({ body }: Pick<S3Answer, "body">): string | undefined =>
  /<Code>([A-Za-z0-9]{1,64})<\/Code>/.exec(Buffer.from(body.subarray(0, 8_192)).toString("utf8"))?.[1];

interface Reason {
  readonly code: ErrorCode;
  readonly why: string;
}

const reasons: Readonly<Record<string, Reason>> = {
  NoSuchBucket: {
    code: "storage-bucket-missing",
    why: "the bucket does not exist; create it or correct its name",
  },
  InvalidAccessKeyId: {
    code: "storage-credentials",
    why: "the store does not know the access key; give a key of this store",
  },
  SignatureDoesNotMatch: {
    code: "storage-credentials",
    why: "the secret does not belong to the access key; correct the secret",
  },
  AccessDenied: {
    code: "storage-credentials",
    why: "the access key is not allowed to do this (reading a missing key needs the right to list the bucket); give it the right, or use another key",
  },
  ExpiredToken: {
    code: "storage-credentials",
    why: "the temporary key has expired; give one that is still valid",
  },
  UserSuspended: {
    code: "storage-credentials",
    why: "the access key's user is suspended; give another key, or let the store's administrator enable the user",
  },
  AuthorizationHeaderMalformed: {
    code: "storage-credentials",
    why: "the store expects a signature for another region; correct the region",
  },
  RequestTimeTooSkewed: {
    code: "storage-failed",
    why: "the clocks of this machine and of the store differ too much; synchronise them",
  },
  PermanentRedirect: {
    code: "storage-failed",
    why: "the bucket is at another endpoint; use the endpoint of the bucket's region",
  },
  NotImplemented: {
    code: "storage-failed",
    why: "the store does not implement this request; see what the probe says of it",
  },
};

/** An answer that is neither what was asked for nor a refusal, as an error; `doing` is what stands in "cannot <doing>". */
export function failedAnswer(params: {
  readonly doing: string;
  readonly endpoint: string;
  readonly bucket: string;
  readonly answer: S3Answer;
}): AppError {
  const { answer } = params;
  const code = s3Code(answer);
  const reason = (code === undefined ? undefined : reasons[code]) ?? reasonOfStatus(answer.status);
  return new AppError(
    reason.code,
    `cannot ${params.doing} in bucket "${params.bucket}" at ${params.endpoint}: ${reason.why}`,
    { meta: { status: answer.status, s3Code: code } },
  );
}

function reasonOfStatus(status: number): Reason {
  if (status === 401 || status === 403)
    return {
      code: "storage-credentials",
      why: `the store denied it (status ${status}); check the access key and what it may do`,
    };
  if (status === 409)
    return {
      code: "storage-failed",
      why: "the store says that something else is under way for it (status 409); try again, and if that stays so, ask who else writes there",
    };
  if (status === 501) return reasons["NotImplemented"] as Reason;
  if (status >= 500)
    return {
      code: "storage-unclear",
      why: `the store failed (status ${status}) and it is not known what it did; ask again once it is well`,
    };
  if (status === 200)
    return { code: "storage-failed", why: "the answer has no ETag; use a store that gives one" };
  return {
    code: "storage-failed",
    why: `the store gave an answer that S3 does not give here (status ${status}); check that the endpoint is an S3 store`,
  };
}
