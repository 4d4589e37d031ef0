import { STSClient, AssumeRoleCommand } from "@aws-sdk/client-sts";
import { AppError, type AccessKey, accessKeySchema, parseAs } from "@baton/protocol";
import { credentialsOf } from "../s3-signature.ts";
import { type BoundPrefix, applicationStatements } from "./application-policy.ts";
import { type BucketPolicy, type Statement, changePolicy } from "./bucket-policy.ts";
import { standing } from "./fence-errors.ts";
import type { Identities } from "./identities.port.ts";

const sid = "BatonFence";

/**
 * AWS: a session of one role for each identity, which is the session's name. The bucket's policy denies disabled names everything; a deny there holds for
 * whatever session of that name there is, also one that is begun later. It takes the store a while to heed a new policy, so each endpoint is tried until it refuses.
 *
 * Never tried with AWS itself: the shapes of requests and answers are those of its documentation.
 *
 * @param params.role whose own policy lets it use the bucket; each session is narrowed to the prefix.
 * @see https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
 */
export function createAwsIdentities(
  params: BoundPrefix & {
    /** Of STS. */
    readonly endpoint: string;
    readonly region: string;
    readonly admin: () => Promise<AccessKey>;
    readonly role: string;
    readonly sessionSeconds: number;
    readonly policy: BucketPolicy;
  },
): Identities {
  const { endpoint, region, admin, role, sessionSeconds, policy, bucket } = params;
  // No retries of its own: every call here has one deadline and may be repeated by whoever made it.
  const client = new STSClient({
    endpoint,
    region,
    credentials: async () => credentialsOf(await admin()),
    maxAttempts: 1,
  });
  const userid = (identity: string): string => `*:${identity}`;

  const assume = async (identity: string, timeoutMs: number): Promise<AccessKey> => {
    const command = new AssumeRoleCommand({
      RoleArn: role,
      RoleSessionName: identity,
      DurationSeconds: sessionSeconds,
      Policy: JSON.stringify({ Version: "2012-10-17", Statement: applicationStatements(params) }),
    });
    const abortSignal = AbortSignal.timeout(Math.max(1, Math.ceil(timeoutMs)));
    const { Credentials: given } = await client.send(command, { abortSignal }).catch((cause: unknown) => {
      throw failed(identity, endpoint, cause);
    });
    const key = {
      accessKeyId: given?.AccessKeyId,
      secretAccessKey: given?.SecretAccessKey,
      sessionToken: given?.SessionToken,
    };
    return parseAs(accessKeySchema, key, "the session's key", "storage-failed");
  };

  return {
    // The sessions carry what they may do themselves.
    prepare: async () => {},
    async issue({ identity, timeoutMs }) {
      const document = await policy.read({ timeoutMs });
      if (document?.includes(JSON.stringify(userid(identity))) === true) throw standing(identity);
      return assume(identity, timeoutMs);
    },
    keyOf: ({ identity, timeoutMs }) => assume(identity, timeoutMs),
    disable: ({ identity, timeoutMs }) =>
      changePolicy({
        policy,
        timeoutMs,
        change: (document) => {
          const known = document.Statement.find(({ Sid }) => Sid === sid);
          const names = new Set([...deniedNames(known), userid(identity)]);
          const deny: Statement = {
            Sid: sid,
            Effect: "Deny",
            Principal: "*",
            Action: "s3:*",
            Resource: [`arn:aws:s3:::${bucket}`, `arn:aws:s3:::${bucket}/*`],
            Condition: { StringLike: { "aws:userid": [...names] } },
          };
          return { ...document, Statement: [...document.Statement.filter(({ Sid }) => Sid !== sid), deny] };
        },
      }),
    close: () => client.destroy(),
  };
}

function deniedNames(statement: Statement | undefined): readonly string[] {
  if (statement === undefined) return [];
  const condition = statement["Condition"] as { StringLike?: { "aws:userid"?: unknown } } | undefined;
  const names = condition?.StringLike?.["aws:userid"];
  if (typeof names === "string") return [names];
  if (Array.isArray(names) && names.every((name) => typeof name === "string")) return names;
  throw new AppError(
    "storage-failed",
    `cannot read whom the bucket's policy denies: the statement "${sid}" is not as it was written; somebody changed it, and it must be put right by hand`,
  );
}

/** What the SDK threw, as one of ours: an answer of STS has a status, anything else never got one. */
function failed(identity: string, endpoint: string, cause: unknown): AppError {
  const { name, $metadata } = cause as { name?: string; $metadata?: { httpStatusCode?: number } };
  const status = $metadata?.httpStatusCode;
  const what = `cannot begin the session ${identity} at ${endpoint}`;
  if (status === undefined || status >= 500)
    return new AppError("storage-unreachable", `${what}: there was no answer of use; ask again later`, {
      cause,
    });
  return new AppError(
    "storage-credentials",
    `${what}: it was refused (${name ?? status}); let the admin key assume the role, and check how long its sessions may be`,
    { cause, meta: { status, s3Code: name } },
  );
}
