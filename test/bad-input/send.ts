/** One HTTP request as anybody could send it. */
export interface Call {
  readonly method: string;
  /** Bearer token; null sends none. */
  readonly token: string | null;
  /** Sent as JSON, a string as it is. */
  readonly body?: unknown;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

const answerMs = 30_000;

export async function send(url: URL, { method, token, body }: Call): Promise<Answer> {
  const headers = new Headers();
  if (token !== null) headers.set("authorization", `Bearer ${token}`);
  if (body !== undefined) headers.set("content-type", "application/json");
  const answer = await fetch(url, {
    method,
    headers,
    signal: AbortSignal.timeout(answerMs),
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  return { status: answer.status, headers: answer.headers, text: await answer.text() };
}
