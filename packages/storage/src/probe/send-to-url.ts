import http from "node:http";
import https from "node:https";

/** A PUT to a URL that carries its own signature; the body is the caller's to send. */
export const putRequest = (
  url: string,
  options: { readonly ca?: string | undefined; readonly length: number; readonly signal: AbortSignal },
): http.ClientRequest => {
  const { ca, length, signal } = options;
  const common = { method: "PUT", headers: { "content-length": length }, signal, agent: false } as const;
  return url.startsWith("https:")
    ? https.request(url, ca === undefined ? common : { ...common, ca })
    : http.request(url, common);
};
