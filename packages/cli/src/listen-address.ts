import { AppError } from "@baton/protocol";

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** Reads "127.0.0.1:7420", "[::1]:0", "localhost:7420". @throws AppError `invalid-configuration`. */
export function parseListenAddress(text: string): ListenAddress {
  const [, bracketed, bare, digits = ""] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? bare ?? "";
  const port = Number(digits);
  if (host !== "" && port <= 65_535) return { host, port };
  throw new AppError(
    "invalid-configuration",
    `cannot listen on "${text}": it must be HOST:PORT, with a port up to 65535`,
  );
}
