import { once } from "node:events";
import http from "node:http";
import https from "node:https";
import tls from "node:tls";
import { AppError } from "@baton/protocol";

/**
 * Asks an endpoint for anything at all, before a store is looked for there: what is no HTTP server, or another kind than the endpoint says, would
 * otherwise be waited for, or be told as a connection that broke.
 *
 * @throws `storage-unreachable` where it can say what is wrong; returns in every other case, because the probe says it.
 */
export async function greetEndpoint(params: {
  readonly endpoint: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}): Promise<void> {
  const url = new URL(params.endpoint);
  const deadline = AbortSignal.timeout(params.timeoutMs);
  const signal = AbortSignal.any([deadline, params.signal]);
  const failed = await askAnything(url, signal);
  if (failed === null || params.signal.aborted) return;
  const { connected, code } = failed;
  const refuse = (why: string): AppError =>
    new AppError("storage-unreachable", `cannot use the endpoint ${params.endpoint}: ${why}`);
  if (deadline.aborted)
    throw refuse(
      connected
        ? `it takes a connection and does not answer within ${params.timeoutMs} ms; check that the store is well, and that this is its port`
        : `no connection within ${params.timeoutMs} ms; check the endpoint and the network`,
    );
  if (url.protocol === "https:") {
    if (/^(EPROTO|ERR_SSL_)/.test(code))
      throw refuse(
        "what answers there does not speak TLS; write http:// if the store has none, or correct the port",
      );
    return;
  }
  if (!connected) return;
  if (await speaksTls(url, params.timeoutMs))
    throw refuse("what answers there speaks TLS; write https://, or correct the port");
  throw refuse(
    code.startsWith("HPE_")
      ? "what answers there does not speak HTTP; correct the port"
      : `it closes the connection without an answer (${code}); check that the store is well, and that this is its port`,
  );
}

interface Failed {
  readonly connected: boolean;
  readonly code: string;
}

/** Null for an answer, whatever it says. No certificate is judged, and no key is sent. */
async function askAnything(url: URL, signal: AbortSignal): Promise<Failed | null> {
  let connected = false;
  const options = { method: "GET", agent: false, signal } as const;
  const request =
    url.protocol === "https:"
      ? https.request(url, { ...options, rejectUnauthorized: false })
      : http.request(url, options);
  request.on("socket", (socket) => socket.on("connect", () => (connected = true)));
  try {
    request.end();
    const [response] = (await once(request, "response")) as [http.IncomingMessage];
    response.destroy();
    return null;
  } catch (error) {
    return { connected, code: error instanceof Error && "code" in error ? String(error.code) : "closed" };
  } finally {
    request.on("error", () => undefined).destroy();
  }
}

async function speaksTls({ hostname, port }: URL, timeoutMs: number): Promise<boolean> {
  const host = hostname.replace(/^\[|\]$/g, "");
  const socket = tls.connect({ host, port: Number(port || 80), rejectUnauthorized: false });
  try {
    await once(socket, "secureConnect", { signal: AbortSignal.timeout(timeoutMs) });
    return true;
  } catch {
    return false;
  } finally {
    socket.on("error", () => undefined).destroy();
  }
}
