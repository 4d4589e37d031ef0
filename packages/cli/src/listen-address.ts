import { isIP } from "node:net";
import { AppError } from "@baton/protocol";

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** Reads "127.0.0.1:7420", "[::1]:0", "localhost:7420". @throws AppError `invalid-configuration`, also for what is not loopback. */
export function parseListenAddress(text: string): ListenAddress {
  const refuse = (why: string): AppError =>
    new AppError("invalid-configuration", `cannot listen on "${text}": ${why}`);
  const [, bracketed, bare, digits = ""] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? bare ?? "";
  const port = Number(digits);
  if (host === "" || port > 65_535) throw refuse("it must be HOST:PORT, with a port up to 65535");
  if (!isLoopback(host))
    throw refuse("the API has no TLS yet, so only loopback is allowed: 127.0.0.1, [::1] or localhost");
  return { host, port };
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}
