import { AppError } from "@baton/protocol";
import type { AccessKey } from "@baton/protocol";
import aws4 from "aws4";
import { Agent, request } from "undici";
import { credentialsOf } from "../s3-signature.ts";

export interface AdminAnswer {
  readonly status: number;
  readonly body: Buffer;
}

export interface AdminClient {
  send(params: {
    readonly method: "GET" | "PUT" | "POST" | "DELETE";
    /** "/admin/user" */
    readonly path: string;
    readonly query?: Readonly<Record<string, string>> | undefined;
    readonly body?: Uint8Array | string | undefined;
    readonly timeoutMs: number;
    /** In words, for errors: "disable the identity x". */
    readonly doing: string;
  }): Promise<AdminAnswer>;
  close(): void;
}

/** Requests to a store's administration, signed as S3's are (SigV4). Nothing is retried. Answers may hold secrets: they never enter an error. */
export function createAdminClient(params: {
  readonly endpoint: string;
  readonly region: string;
  /** Asked before every request. */
  readonly admin: () => Promise<AccessKey>;
  readonly service?: string | undefined;
  readonly ca?: string | undefined;
}): AdminClient {
  const { endpoint, region, admin, service = "s3", ca } = params;
  const base = new URL(endpoint);
  const dispatcher = new Agent({ connect: ca === undefined ? {} : { ca } });
  return {
    async send({ method, path, query = {}, body, timeoutMs, doing }) {
      const search = new URLSearchParams(query).toString().replaceAll("+", "%20");
      const target = `${base.pathname.replace(/\/$/, "")}${path}${search === "" ? "" : `?${search}`}`;
      const { headers } = aws4.sign(
        {
          method,
          host: base.host,
          path: target,
          service,
          region,
          ...(body === undefined ? {} : { body: Buffer.from(body) }),
          // Else the signer makes one up for a body.
          headers: { "content-type": "application/octet-stream" },
        },
        credentialsOf(await admin()),
      );
      const signal = AbortSignal.timeout(Math.max(1, Math.ceil(timeoutMs)));
      try {
        const answer = await request(new URL(target, base), {
          method,
          headers: headers as Record<string, string>,
          body: body ?? null,
          dispatcher,
          signal,
        });
        return { status: answer.statusCode, body: Buffer.from(await answer.body.arrayBuffer()) };
      } catch (cause) {
        throw new AppError(
          "storage-unclear",
          `cannot ${doing} at ${base.origin}: there was no answer, and it is not known what the store did; ask again once it answers`,
          { cause },
        );
      }
    },
    close: () => void dispatcher.destroy(),
  };
}

/** An answer that is none of those expected. The body is not shown: where keys are made it holds secrets. */
export function unexpectedAnswer(doing: string, endpoint: string, { status, body }: AdminAnswer): AppError {
  const code = /(?:"Code"\s*:\s*"|<Code>)([A-Za-z0-9]{1,64})/.exec(body.toString("utf8"))?.[1];
  const what = `cannot ${doing} at ${endpoint}`;
  const meta = { status, s3Code: code };
  if (status === 401 || status === 403)
    return new AppError(
      "storage-credentials",
      `${what}: the admin key is rejected (${code ?? status}); give the key of an administrator who may manage users`,
      { meta },
    );
  if (status >= 500)
    return new AppError(
      "storage-unclear",
      `${what}: the store failed (status ${status}) and it is not known what it did; ask again once it is well`,
      { meta },
    );
  return new AppError(
    "storage-failed",
    `${what}: the store answered ${status}${code === undefined ? "" : ` (${code})`}; check that the fence names the right provider and endpoint`,
    { meta },
  );
}
