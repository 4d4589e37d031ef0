import { createHash } from "node:crypto";

export interface BoundPrefix {
  readonly bucket: string;
  readonly prefix: string;
}

/** Begins the name of every identity of a binding: "baton-0f3c…-". Within what every provider takes as a user's name. */
export const identityPrefix = ({ bucket, prefix }: BoundPrefix): string =>
  `baton-${createHash("sha256").update(`${bucket}/${prefix}`).digest("hex").slice(0, 12)}-`;

/** The identity of a placement in an epoch; it is never used again in another one. */
export const identityOf = (bound: BoundPrefix, placement: string, epoch: number): string =>
  `${identityPrefix(bound)}${placement}-${epoch}`;

/** What an application's key may do; listing is for the whole bucket, because a missing key is "denied" to who may not list. */
export const applicationStatements = ({ bucket, prefix }: BoundPrefix) => [
  {
    Effect: "Allow",
    Action: [
      "s3:GetObject",
      "s3:GetObjectVersion",
      "s3:PutObject",
      "s3:DeleteObject",
      "s3:AbortMultipartUpload",
      "s3:ListMultipartUploadParts",
    ],
    Resource: [`arn:aws:s3:::${bucket}/${prefix}*`],
  },
  {
    Effect: "Allow",
    Action: ["s3:ListBucket", "s3:GetBucketLocation"],
    Resource: [`arn:aws:s3:::${bucket}`],
  },
];
