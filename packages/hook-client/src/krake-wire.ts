/** What Krake's shutdown route reads and answers, without Krake: the part of it that a micro-service sees. */
export interface KrakeAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

const titles: Readonly<Record<number, string>> = {
  401: "Unauthorized",
  404: "Not Found",
  405: "Method Not Allowed",
  413: "Content Too Large",
  415: "Unsupported Media Type",
  422: "Unprocessable Content",
};
/** Of a confirmation; the token is most of it. */
export const bodyLimitBytes = 8_192;

export function krakeProblem(status: number, detail: string): KrakeAnswer {
  return {
    status,
    headers: { "content-type": "application/problem+json", ...(status === 405 && { allow: "PUT" }) },
    body: JSON.stringify({ type: "about:blank", title: titles[status], status, detail }),
  };
}

/** Krake answers with the whole record, secrets included; a service needs the state only. */
export function krakeApplication(record: {
  readonly namespace: string;
  readonly application: string;
  readonly state: string;
}): KrakeAnswer {
  const { namespace, application, state } = record;
  const body = {
    api: "kubernetes",
    kind: "Application",
    metadata: { namespace, name: application },
    status: { state },
  };
  return { status: 200, headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
}

/** The token that was sent, null for none; or the answer that refuses the body. The content type does not matter, as in Krake. */
export async function readKrakeConfirmation(
  request: Request,
): Promise<{ readonly token: string | null } | KrakeAnswer> {
  const text = await readText(request);
  if (text === null)
    return krakeProblem(413, `cannot confirm: the body is longer than ${bodyLimitBytes} bytes`);
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return krakeProblem(415, "cannot confirm: the body is not JSON");
  }
  if (typeof body !== "object" || body === null || Array.isArray(body))
    return krakeProblem(422, "cannot confirm: the body is not a JSON object");
  const { token = null, kind = "Shutdown", api = "kubernetes" } = body as Readonly<Record<string, unknown>>;
  if (kind !== "Shutdown" || api !== "kubernetes")
    return krakeProblem(422, 'cannot confirm: "kind" must be "Shutdown" and "api" must be "kubernetes"');
  if (token !== null && typeof token !== "string")
    return krakeProblem(422, 'cannot confirm: "token" must be a string');
  return { token };
}

/** Null: too long. A body that breaks off reads as none. What is not read is left to the server. */
async function readText({ body }: Request): Promise<string | null> {
  if (body === null) return "";
  const reader = body.getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return Buffer.concat(chunks).toString("utf8");
      size += value.byteLength;
      if (size > bodyLimitBytes) return null;
      chunks.push(value);
    }
  } catch {
    return "";
  } finally {
    reader.releaseLock();
  }
}
