import type { AccessKey } from "@baton/protocol";
import type { S3Location } from "../s3-request.ts";
import { createAdminClient, unexpectedAnswer } from "./admin-request.ts";
import type { BucketPolicy } from "./bucket-policy.ts";

/** The policy of a bucket, path style, by a key that may change it. */
export function openBucketPolicy(
  params: S3Location & { readonly accessKey: () => Promise<AccessKey> },
): BucketPolicy & { close(): void } {
  const { endpoint, region, bucket, accessKey, ca } = params;
  const client = createAdminClient({ endpoint, region, admin: accessKey, ca });
  const request = { path: `/${bucket}`, query: { policy: "" } };
  return {
    async read({ timeoutMs }) {
      const doing = `read the policy of bucket "${bucket}"`;
      const answer = await client.send({ ...request, method: "GET", doing, timeoutMs });
      if (answer.status === 200) return answer.body.toString("utf8");
      if (answer.status === 404 && answer.body.includes("NoSuchBucketPolicy")) return null;
      throw unexpectedAnswer(doing, endpoint, answer);
    },
    async write({ document, timeoutMs }) {
      const doing = `write the policy of bucket "${bucket}"`;
      const answer = await client.send({ ...request, method: "PUT", body: document, doing, timeoutMs });
      if (answer.status !== 200 && answer.status !== 204) throw unexpectedAnswer(doing, endpoint, answer);
    },
    close: () => client.close(),
  };
}
