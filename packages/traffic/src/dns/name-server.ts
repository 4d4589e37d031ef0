import { type LookupAddress, promises as dns } from "node:dns";
import { isIP } from "node:net";
import { formatMarker, parseMarker, type Marker } from "./marker.ts";
import type { DnsRecord } from "./plan-update.ts";

/** What a name server's answer means that there is nothing of the kind. */
const absent: readonly unknown[] = ["ENOTFOUND", "ENODATA"];

export interface NameServer {
  /** "foreign": something is there that is no marker of ours. */
  marker(name: string): Promise<Marker | "foreign" | null>;
  values(record: Pick<DnsRecord, "name" | "type">): Promise<readonly string[]>;
  /** That it answers for the zone. */
  assertZone(zone: string): Promise<void>;
}

export interface ServerAddress {
  readonly host: string;
  readonly port: number;
}

/** "127.0.0.1:5300", "[::1]", "ns.example.org" */
export function parseServer(server: string): ServerAddress {
  const [, bracketed, plain, port = "53"] = /^(?:\[(.+)\]|([^:]+))(?::(\d+))?$/.exec(server) ?? [];
  return { host: bracketed ?? plain ?? server, port: Number(port) };
}

/** Asks this server alone, and each time anew. @throws what `node:dns` throws. */
export async function openNameServer(
  { host, port }: ServerAddress,
  signal: AbortSignal,
): Promise<NameServer> {
  const address = isIP(host) > 0 ? host : (await lookup(host)).address;
  const resolver = new dns.Resolver({ timeout: 2_000, tries: 3 });
  resolver.setServers([address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`]);
  signal.addEventListener("abort", () => resolver.cancel(), { once: true });
  return {
    async marker(name) {
      const [text, ...more] = (await orNone(resolver.resolveTxt(name))).map((parts) => parts.join(""));
      if (text === undefined) return null;
      const marker = parseMarker(text);
      return marker === null || more.length > 0 || formatMarker(marker) !== text ? "foreign" : marker;
    },
    values: ({ name, type }) =>
      orNone(
        type === "CNAME"
          ? resolver.resolveCname(name)
          : type === "A"
            ? resolver.resolve4(name)
            : resolver.resolve6(name),
      ),
    async assertZone(zone) {
      await resolver.resolveSoa(zone);
    },
  };
}

const lookup = (host: string): Promise<LookupAddress> => dns.lookup(host);

async function orNone<T>(answer: Promise<readonly T[]>): Promise<readonly T[]> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof Error && "code" in error && absent.includes(error.code)) return [];
    throw error;
  }
}
