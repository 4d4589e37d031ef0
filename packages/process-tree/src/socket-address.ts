import { endianness } from "node:os";

/** One end of a socket. `address` is what `::1`, `10.0.0.1` or, of an IPv6 socket to IPv4, `::ffff:10.0.0.1` is. */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/**
 * Reads `0100007F:1F90` of /proc/net/tcp, or the 32 digits of its IPv6 kin: network order in words of four bytes,
 * each printed as this machine's number.
 * @throws Error when it has not this form
 */
export function parseEndpoint(text: string): Endpoint {
  const [, words, port] = /^((?:[0-9A-F]{8}){1}|(?:[0-9A-F]{8}){4}):([0-9A-F]{4})$/.exec(text) ?? [];
  if (words === undefined || port === undefined)
    throw new Error(`cannot read the socket address ${JSON.stringify(text)}: not of /proc/net's form`);
  const bytes = Buffer.from(words, "hex");
  if (endianness() === "LE") bytes.swap32();
  return {
    address: bytes.length === 4 ? bytes.join(".") : formatIpv6(bytes),
    port: Number.parseInt(port, 16),
  };
}

/** `127.0.0.1:80`, `[::1]:80`. */
export const formatEndpoint = ({ address, port }: Endpoint): string =>
  address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;

/** One spelling for one host: IPv6 shortened, its zone left out, and IPv4 plain though an IPv6 socket speaks it.
 * @throws TypeError for what is no IP address */
export function plainAddress(address: string): string {
  if (/^(\d{1,3}\.){3}\d{1,3}$/.test(address)) return new URL(`http://${address}`).hostname;
  const [, mapped] = /^::ffff:([\d.]+)$/i.exec(address) ?? [];
  if (mapped !== undefined) return plainAddress(mapped);
  if (!address.includes(":")) throw new TypeError(`cannot use ${JSON.stringify(address)}: not an IP address`);
  const hostname = shorten(address.replace(/%.*$/, ""));
  const [, high, low] = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(hostname) ?? [];
  if (high === undefined || low === undefined) return hostname;
  const number = Number.parseInt(high, 16) * 0x10000 + Number.parseInt(low, 16);
  return [24, 16, 8, 0].map((shift) => (number >>> shift) & 0xff).join(".");
}

/** Shortened by RFC 5952, as URLs are; but those of IPv4 keep their points, which URLs take from them. */
function formatIpv6(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16));
  const text = groups.join(":");
  return text.startsWith("0:0:0:0:0:ffff:") ? `::ffff:${bytes.subarray(12).join(".")}` : shorten(text);
}

const shorten = (address: string): string => new URL(`http://[${address}]`).hostname.slice(1, -1);
