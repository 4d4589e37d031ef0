import { type KrakeApplication, awaitsConfirmation, showApplication } from "./application.ts";

export interface ApiAnswer {
  readonly status: number;
  /** The phrase of the status line, where Krake's is another than usual. */
  readonly reason?: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface ApiCall {
  readonly method: string;
  readonly path: string;
  readonly body: string;
  /** Who the caller is; `anonymous` without a credential. */
  readonly user: string;
}

export interface ApiAccess {
  /** Whether a caller without a credential gets in. */
  readonly anonymous: boolean;
  /** Users with the right `update` on `applications/shutdown`; null: RBAC is off and all have it. */
  readonly mayConfirm: readonly string[] | null;
}

const route = /^\/kubernetes\/namespaces\/([^/]+)\/applications\/([^/]+)\/shutdown$/;

/**
 * Krake's confirmation route: checks in Krake's order, and what a valid confirmation does to the record. A 200 does not mean that it was taken.
 */
export function answerShutdown(
  call: ApiCall,
  application: KrakeApplication | null,
  access: ApiAccess,
): ApiAnswer {
  const { method, path, user } = call;
  const isAnonymous = user === "anonymous";
  if (isAnonymous && !access.anonymous) return problem(401, "Authentication required", path);
  const [, namespace, name] = route.exec(path)?.map(decodeURIComponent) ?? [];
  if (namespace === undefined || name === undefined) return plain(404, "404: Not Found");
  if (method !== "PUT") return plain(405, "405: Method Not Allowed", { allow: "PUT" });
  if (access.mayConfirm !== null && !access.mayConfirm.includes(user))
    return problem(isAnonymous ? 401 : 403, "Permission denied", path);
  const body = parseJson(call.body);
  if (body === undefined) return problem(415, "The body is not JSON", path);
  const wrong = shapeError(body);
  if (wrong !== null) return problem(422, wrong, path);
  if (application?.namespace !== namespace || application.name !== name)
    return problem(404, `Application ${name} does not exist`, path, { type: "#not-found-error" });
  const { token = null } = body as { token?: string | null };
  // The same for an application without a token: null does not equal null here.
  if (token === null)
    return problem(401, "No token has been provided", path, { reason: "No token has been provided" });
  if (token !== application.token) return problem(401, "Invalid token", path, { reason: "Invalid token" });
  if (awaitsConfirmation(application.state)) {
    application.state = "READY_FOR_ACTION";
    application.shutdownGracePeriod = null;
  }
  return showRecord(application);
}

const showRecord = (application: KrakeApplication): ApiAnswer => ({
  status: 200,
  headers: { "content-type": "application/json; charset=utf-8" },
  body: JSON.stringify(showApplication(application)),
});

/** RFC 7807, empty fields as null. */
export function problem(
  status: number,
  detail: string,
  instance: string,
  { type = "about:blank", reason }: { readonly type?: string; readonly reason?: string } = {},
): ApiAnswer {
  return {
    status,
    ...(reason !== undefined && { reason }),
    headers: { "content-type": "application/problem+json" },
    body: JSON.stringify({ type, title: reason ?? null, status, detail, instance }),
  };
}

const plain = (status: number, body: string, headers: Record<string, string> = {}): ApiAnswer => ({
  status,
  headers: { "content-type": "text/plain; charset=utf-8", ...headers },
  body,
});

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Fields that Krake does not know are ignored; the content type is never looked at. */
function shapeError(body: unknown): string | null {
  if (typeof body !== "object" || body === null || Array.isArray(body)) return "Invalid input type.";
  const { token = null, kind = "Shutdown", api = "kubernetes" } = body as Readonly<Record<string, unknown>>;
  if (token !== null && typeof token !== "string") return "token: Not a valid string.";
  if (kind !== "Shutdown") return "kind: Invalid kind.";
  return api === "kubernetes" ? null : "api: Invalid api.";
}
