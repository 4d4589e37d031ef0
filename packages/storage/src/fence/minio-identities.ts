import { type AccessKey, AppError } from "@baton/protocol";
import { type AdminAnswer, createAdminClient, unexpectedAnswer } from "./admin-request.ts";
import { type BoundPrefix, applicationStatements, identityPrefix } from "./application-policy.ts";
import { standing } from "./fence-errors.ts";
import type { Identities } from "./identities.port.ts";
import { encryptForAdmin } from "./madmin-encrypt.ts";

/** Of everybody whose identity was disabled. An explicit deny holds whatever else is allowed, also to a user who is enabled again. */
const deniedGroup = "baton-denied";
const denyAll = { Effect: "Deny", Action: ["s3:*"], Resource: ["arn:aws:s3:::*"] };
const document = (statements: readonly object[]): string =>
  JSON.stringify({ Version: "2012-10-17", Statement: statements });

/**
 * MinIO: a user for each identity, its secret chosen here; disabled by its status and, as writing a user enables it again, by membership of a
 * group that is denied everything, which nothing here ever takes back.
 *
 * @param params.secretOf the secret of an identity, always the same: MinIO does not tell it again.
 * @see https://pkg.go.dev/github.com/minio/madmin-go/v3
 */
export function createMinioIdentities(
  params: BoundPrefix & {
    readonly endpoint: string;
    readonly region: string;
    readonly admin: () => Promise<AccessKey>;
    readonly secretOf: (identity: string) => string;
    readonly ca?: string | undefined;
  },
): Identities {
  const { endpoint, admin, secretOf } = params;
  const client = createAdminClient(params);
  const policy = `${identityPrefix(params)}policy`;

  const ask = async (request: {
    readonly method: "GET" | "PUT";
    readonly command: string;
    readonly query?: Readonly<Record<string, string>> | undefined;
    readonly body?: Uint8Array | string | undefined;
    readonly doing: string;
    readonly timeoutMs: number;
    /** What is fine besides 200. */
    readonly accepts?: (answer: AdminAnswer) => boolean;
  }): Promise<AdminAnswer> => {
    const { command, doing, accepts } = request;
    const answer = await client.send({ ...request, path: `/minio/admin/v3/${command}` });
    if (answer.status !== 200 && accepts?.(answer) !== true) throw unexpectedAnswer(doing, endpoint, answer);
    return answer;
  };
  const keyFor = (identity: string): AccessKey => ({
    accessKeyId: identity,
    secretAccessKey: secretOf(identity),
  });

  const find = async (identity: string, timeoutMs: number): Promise<"enabled" | "disabled" | null> => {
    const doing = `look up the identity ${identity}`;
    const answer = await ask({
      method: "GET",
      command: "user-info",
      query: { accessKey: identity },
      doing,
      timeoutMs,
      accepts: ({ status, body }) => status === 404 && body.includes("XMinioAdminNoSuchUser"),
    });
    if (answer.status !== 200) return null;
    const user = JSON.parse(answer.body.toString("utf8")) as { status?: unknown; memberOf?: unknown };
    const isDenied = Array.isArray(user.memberOf) && user.memberOf.includes(deniedGroup);
    return user.status === "enabled" && !isDenied ? "enabled" : "disabled";
  };
  const add = async (identity: string, status: "enabled" | "disabled", timeoutMs: number): Promise<void> => {
    const { secretAccessKey } = await admin();
    await ask({
      method: "PUT",
      command: "add-user",
      query: { accessKey: identity },
      body: encryptForAdmin(secretAccessKey, JSON.stringify({ secretKey: secretOf(identity), status })),
      doing: `make the identity ${identity}`,
      timeoutMs,
    });
  };
  const putPolicy = (name: string, statements: readonly object[], timeoutMs: number): Promise<unknown> =>
    ask({
      method: "PUT",
      command: "add-canned-policy",
      query: { name },
      body: document(statements),
      doing: `write the policy ${name}`,
      timeoutMs,
    });
  const setPolicy = (
    policyName: string,
    userOrGroup: string,
    isGroup: boolean,
    timeoutMs: number,
  ): Promise<unknown> =>
    ask({
      method: "PUT",
      command: "set-user-or-group-policy",
      query: { policyName, userOrGroup, isGroup: String(isGroup) },
      doing: `give ${userOrGroup} the policy ${policyName}`,
      timeoutMs,
    });

  const disable = async (user: string, timeoutMs: number): Promise<void> => {
    await ask({
      method: "PUT",
      command: "update-group-members",
      body: JSON.stringify({
        group: deniedGroup,
        members: [user],
        groupStatus: "enabled",
        isRemove: false,
      }),
      doing: `deny the identity ${user} everything`,
      timeoutMs,
    });
    await setPolicy(deniedGroup, deniedGroup, true, timeoutMs);
    await ask({
      method: "PUT",
      command: "set-user-status",
      query: { accessKey: user, status: "disabled" },
      doing: `disable the identity ${user}`,
      timeoutMs,
    });
  };

  return {
    async prepare({ timeoutMs }) {
      await putPolicy(policy, applicationStatements(params), timeoutMs);
      await putPolicy(deniedGroup, [denyAll], timeoutMs);
    },
    async issue({ identity, timeoutMs }) {
      const found = await find(identity, timeoutMs);
      if (found === "disabled") throw standing(identity);
      if (found === null) await add(identity, "enabled", timeoutMs);
      await setPolicy(policy, identity, false, timeoutMs);
      return keyFor(identity);
    },
    keyOf: async ({ identity, timeoutMs }) =>
      (await find(identity, timeoutMs)) === null ? null : keyFor(identity),
    async disable({ identity, timeoutMs }) {
      if ((await find(identity, timeoutMs)) === null) await add(identity, "disabled", timeoutMs);
      await disable(identity, timeoutMs);
    },
    async disableKey({ accessKeyId, timeoutMs }) {
      // Else one would be made of this name, and the key, which is a user's other one or a session's, would still be good.
      if ((await find(accessKeyId, timeoutMs)) === null)
        throw new AppError(
          "fence-unproven",
          `cannot take the key ${accessKeyId} away: MinIO knows no user of this name; name the key of a user, or disable it at the store yourself`,
        );
      await disable(accessKeyId, timeoutMs);
    },
    close: () => client.close(),
  };
}
