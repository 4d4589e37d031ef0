import { AppError, type AccessKey, accessKeySchema, parseAs } from "@baton/protocol";
import * as v from "valibot";
import { type AdminAnswer, createAdminClient, unexpectedAnswer } from "./admin-request.ts";
import { type BoundPrefix, applicationStatements, identityPrefix } from "./application-policy.ts";
import { type BucketPolicy, ensureStatements } from "./bucket-policy.ts";
import { standing } from "./fence-errors.ts";
import type { Identities } from "./identities.port.ts";

const userSchema = v.object({
  suspended: v.union([v.number(), v.boolean()]),
  keys: v.array(v.object({ access_key: v.string(), secret_key: v.string() })),
});
type User = v.InferOutput<typeof userSchema>;

/**
 * Ceph's RADOS gateway: a user for each identity, which the gateway gives its key and which is suspended to disable it. What the users may do stands in
 * the bucket's policy once, by the beginning of their names.
 *
 * The admin's user needs `radosgw-admin caps add --caps "users=*"`.
 * @see https://docs.ceph.com/en/latest/radosgw/adminops/
 */
export function createCephIdentities(
  params: BoundPrefix & {
    readonly endpoint: string;
    readonly region: string;
    readonly admin: () => Promise<AccessKey>;
    readonly policy: BucketPolicy;
    readonly ca?: string | undefined;
  },
): Identities {
  const { endpoint } = params;
  const client = createAdminClient(params);
  const path = "/admin/user";
  const ask = (
    method: "GET" | "PUT" | "POST" | "DELETE",
    query: Readonly<Record<string, string>>,
    doing: string,
    timeoutMs: number,
  ): Promise<AdminAnswer> =>
    client.send({ method, path, query: { format: "json", ...query }, doing, timeoutMs });

  const find = async (uid: string, timeoutMs: number): Promise<User | null> => {
    const doing = `look up the identity ${uid}`;
    const answer = await ask("GET", { uid }, doing, timeoutMs);
    if (answer.status === 200) return readUser(answer);
    if (answer.status === 404 && answer.body.includes("NoSuchUser")) return null;
    throw unexpectedAnswer(doing, endpoint, answer);
  };
  /** Made by nobody else but one: the gateway refuses the second (409), and then the first is looked at. */
  const create = async (uid: string, suspended: boolean, timeoutMs: number): Promise<User> => {
    const doing = `make the identity ${uid}`;
    const query = { uid, "display-name": uid, "max-buckets": "-1", suspended: String(suspended) };
    const answer = await ask("PUT", query, doing, timeoutMs);
    if (answer.status === 200) return readUser(answer);
    const other = answer.status === 409 ? await find(uid, timeoutMs) : null;
    if (other === null) throw unexpectedAnswer(doing, endpoint, answer);
    return other;
  };

  return {
    prepare: ({ timeoutMs }) => {
      const names = { StringLike: { "aws:username": `${identityPrefix(params)}*` } };
      return ensureStatements({
        policy: params.policy,
        timeoutMs,
        statements: applicationStatements(params).map((statement, n) => ({
          ...statement,
          Sid: `${identityPrefix(params)}${n}`,
          Principal: { AWS: ["*"] },
          Condition: names,
        })),
      });
    },
    async issue({ identity, timeoutMs }) {
      const user = (await find(identity, timeoutMs)) ?? (await create(identity, false, timeoutMs));
      if (user.suspended) throw standing(identity);
      return keyIn(user, identity);
    },
    async keyOf({ identity, timeoutMs }) {
      const user = await find(identity, timeoutMs);
      return user === null ? null : keyIn(user, identity);
    },
    async disable({ identity, timeoutMs }) {
      // One that was never issued is made suspended, so that whoever issues it late finds it disabled.
      const user = (await find(identity, timeoutMs)) ?? (await create(identity, true, timeoutMs));
      if (user.suspended) return;
      const doing = `disable the identity ${identity}`;
      const answer = await ask("POST", { uid: identity, suspended: "true" }, doing, timeoutMs);
      if (answer.status !== 200 || !readUser(answer).suspended)
        throw unexpectedAnswer(doing, endpoint, answer);
    },
    async disableKey({ accessKeyId, timeoutMs }) {
      // The key alone: its user may have others, and be somebody whom nobody meant.
      const doing = `take the key ${accessKeyId} away`;
      const answer = await ask("DELETE", { key: "", "access-key": accessKeyId }, doing, timeoutMs);
      const isGone =
        answer.status === 404 || /NoSuch(Key|User)|InvalidAccessKey/.test(answer.body.toString());
      if (answer.status !== 200 && !isGone) throw unexpectedAnswer(doing, endpoint, answer);
    },
    close: () => client.close(),
  };
}

function readUser({ body }: AdminAnswer): User {
  let content: unknown;
  try {
    content = JSON.parse(body.toString("utf8"));
  } catch {
    content = undefined;
  }
  return parseAs(userSchema, content, "the user that the gateway told of", "storage-failed");
}

function keyIn({ keys: [key] }: User, identity: string): AccessKey {
  if (key === undefined)
    throw new AppError(
      "storage-failed",
      `cannot use the identity ${identity}: the gateway knows no key of it; somebody removed it, so give the application another placement`,
    );
  return parseAs(
    accessKeySchema,
    { accessKeyId: key.access_key, secretAccessKey: key.secret_key },
    "the key",
    "storage-failed",
  );
}
