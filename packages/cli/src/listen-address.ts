import { isIP } from "node:net";
import { InvalidArgumentError } from "commander";

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** "127.0.0.1:7420", "[::1]:0", "localhost:7420"; loopback only. @throws commander's error for a wrong option. */
export function parseListenAddress(text: string): ListenAddress {
  const [, bracketed, bare, digits = ""] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? bare ?? "";
  const port = Number(digits);
  if (host === "" || port > 65_535) throw new InvalidArgumentError("It must be HOST:PORT.");
  if (!isLoopback(host))
    throw new InvalidArgumentError(
      "The API has no TLS yet, so it listens on loopback only: 127.0.0.1, [::1] or localhost.",
    );
  return { host, port };
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}
