import type { Telling } from "../traffic-plugin.port.ts";
import { type Marker, formatMarker } from "./marker.ts";

export interface DnsRecord {
  readonly zone: string;
  readonly name: string;
  readonly type: "A" | "AAAA" | "CNAME";
  readonly ttlSeconds: number;
}

/** Not at the name itself, where a CNAME bears nothing beside it. */
export const markerName = ({ name, type }: Pick<DnsRecord, "name" | "type">): string =>
  `_baton-${type.toLowerCase()}.${name}`;

/**
 * One message for `nsupdate`: it changes the record and its marker together, or nothing where the marker is no longer what was seen. So what is late changes
 * nothing, however late it comes. A record that is there without a marker is somebody's, and is left alone.
 *
 * @param value null: the record is taken away
 */
export function planUpdate(params: {
  readonly record: DnsRecord;
  readonly telling: Pick<Telling, "owner" | "epoch" | "revision" | "isLast">;
  readonly value: string | null;
  readonly seen: Marker | null;
}): string {
  const { record, telling, value, seen } = params;
  const { zone, name, type, ttlSeconds } = record;
  const marker = markerName(record);
  const isOurs = seen?.serving === true;
  const lines = [
    `zone ${zone}.`,
    seen === null ? `prereq nxrrset ${marker}. TXT` : `prereq yxrrset ${marker}. TXT "${formatMarker(seen)}"`,
  ];
  if (value !== null && !isOurs)
    lines.push(
      ...(type === "CNAME"
        ? [`prereq nxdomain ${name}.`]
        : // A server passes over an address beside a CNAME, and says nothing.
          [`prereq nxrrset ${name}. ${type}`, `prereq nxrrset ${name}. CNAME`]),
    );
  if (isOurs) lines.push(`update delete ${name}. ${type}`);
  if (value !== null)
    lines.push(`update add ${name}. ${ttlSeconds} ${type} ${value}${type === "CNAME" ? "." : ""}`);
  lines.push(`update delete ${marker}. TXT`);
  if (!telling.isLast)
    lines.push(
      `update add ${marker}. ${ttlSeconds} TXT "${formatMarker({ ...telling, serving: value !== null })}"`,
    );
  return [...lines, "send", ""].join("\n");
}
