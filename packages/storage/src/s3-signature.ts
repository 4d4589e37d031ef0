import { createHash } from "node:crypto";
import type { OutgoingHttpHeaders } from "node:http";
import type { AccessKey } from "@baton/protocol";
import aws4 from "aws4";

/**
 * The headers of a request together with its signature: AWS Signature Version 4 for S3, in the Authorization header, payload
 * included. Signs every header given, the host, the time and the payload's digest.
 *
 * @param params.url percent-encoded, without a query.
 * @param params.at what the request says that the time is; stores refuse it when it is 15 minutes off.
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
 */
export function signRequest(params: {
  readonly method: string;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | undefined;
  readonly region: string;
  readonly accessKey: AccessKey;
  readonly at: Date;
}): OutgoingHttpHeaders {
  const { method, url, body, region, accessKey, at } = params;
  const headers = {
    ...params.headers,
    host: url.host,
    "x-amz-date": at.toISOString().replace(/[:-]|\.\d{3}/g, ""),
    "x-amz-content-sha256": createHash("sha256")
      .update(body ?? "")
      .digest("hex"),
  };
  // The signer does not see the body: it would make up a content type for it.
  return {
    ...aws4.sign({ method, path: url.pathname, service: "s3", region, headers }, credentialsOf(accessKey))
      .headers,
  };
}

/** A key pair as signers take it: what is not there must not be `undefined`. */
export const credentialsOf = ({ sessionToken, ...pair }: AccessKey) =>
  sessionToken === undefined ? pair : { ...pair, sessionToken };
