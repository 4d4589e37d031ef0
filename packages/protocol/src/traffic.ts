import * as v from "valibot";
import { epochSchema, nameSchema } from "./ids.ts";
import { integer, moment, record, strictObject, variant, withoutBreaks } from "./schema.ts";

const absolutePath = v.pipe(v.string(), v.regex(/^\/[^\0\r\n]+$/, "must be an absolute path"));
const file = strictObject({ file: absolutePath });
/** For one try, in ms; then it is tried again later. */
const timeoutMs = v.optional(v.pipe(integer, v.minValue(100), v.maxValue(60_000)), 10_000);

/** POSTs it, signed as the Standard Webhooks specification says. */
const webhookSchema = strictObject({
  plugin: v.literal("webhook"),
  url: v.pipe(
    v.string(),
    v.trim(),
    v.check((value) => /^https?:\/\//i.test(value) && URL.canParse(value), "must be an http or https URL"),
    v.check((value) => {
      const { username = "", password = "", hash = "" } = URL.parse(value) ?? {};
      return username + password + hash === "";
    }, "must not carry a user name, a password or a fragment"),
    v.transform(withoutBreaks),
  ),
  /** JSON: { secret }, with "whsec_" and at least 24 bytes in base64. */
  secret: file,
  timeoutMs,
});

/** Runs a program of the orchestrator's machine, without a shell: it confirms by its exit status 0. */
const commandSchema = strictObject({
  plugin: v.literal("command"),
  command: v.pipe(
    v.array(v.pipe(v.string(), v.regex(/^[^\0]*$/, "must not have a null character"))),
    v.minLength(1),
    v.check(
      ([program = ""]) => /^\/[^\r\n]+$/.test(program),
      "must begin with the absolute path of a program",
    ),
  ),
  timeoutMs,
});

/** Lower case, and without the dot of the root. */
const domainName = (longest: number) =>
  v.pipe(
    v.string(),
    v.regex(
      /^(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.?$/,
      'must be a domain name: labels of letters, digits and "-", with dots between them',
    ),
    v.check((value) => value.length <= longest, `must not be longer than ${longest} characters`),
    v.transform((value) => value.toLowerCase().replace(/\.$/, "")),
  );

const ipv4 = /^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.|$)){4}$/;
const isAddress = {
  A: (value: string) => ipv4.test(value),
  AAAA: (value: string) => /^[0-9A-Fa-f:.]{2,45}$/.test(value) && URL.canParse(`http://[${value}]/`),
  CNAME: (value: string) => v.is(domainName(253), value) && !ipv4.test(value),
} as const;

/** Whether a record of this type can have this value. */
export const fitsRecord = (type: keyof typeof isAddress, value: string): boolean => isAddress[type](value);

/** Changes one record by RFC 2136, signed with TSIG. */
const dnsSchema = v.pipe(
  strictObject({
    plugin: v.literal("dns"),
    /** The zone's primary. */
    server: v.pipe(
      v.string(),
      v.regex(
        /^(?:[A-Za-z0-9][A-Za-z0-9.-]{0,252}|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/,
        "must be HOST or HOST:PORT, an IPv6 address in brackets",
      ),
    ),
    zone: domainName(253),
    /** Room is left for the record beside it that says whose it is. */
    name: domainName(240),
    type: v.picklist(["A", "AAAA", "CNAME"]),
    ttlSeconds: v.optional(v.pipe(integer, v.minValue(0), v.maxValue(86_400)), 30),
    /** As `tsig-keygen` writes it. */
    key: file,
    /** By cluster name: what clients use there instead of the host in the application's own URL. */
    addresses: v.optional(record(nameSchema, v.string()), {}),
    timeoutMs,
  }),
  v.check(({ zone, name }) => name === zone || name.endsWith(`.${zone}`), 'must have a "name" in its "zone"'),
  v.check(
    ({ zone, name, type }) => type !== "CNAME" || name !== zone,
    "must not make the zone itself a CNAME: other records are there",
  ),
  v.check(
    ({ type, addresses }) => Object.values(addresses).every((value) => isAddress[type](value)),
    'must have "addresses" of its type: IPv4 for A, IPv6 for AAAA, names for CNAME',
  ),
);

/** A way of telling somebody where an application is served. */
export const trafficPluginSchema = variant("plugin", [webhookSchema, commandSchema, dnsSchema]);
export type TrafficPluginManifest = v.InferOutput<typeof trafficPluginSchema>;

/** Who is told, in words. Two that are the same are the same receiver, whatever else is said about them. */
export function trafficTarget(plugin: TrafficPluginManifest): string {
  switch (plugin.plugin) {
    case "webhook":
      return `webhook ${plugin.url}`;
    case "command":
      return `command ${JSON.stringify(plugin.command)}`;
    case "dns":
      return `dns ${plugin.name} ${plugin.type} at ${plugin.server}`;
  }
}

export const trafficSchema = v.pipe(
  v.array(trafficPluginSchema),
  v.maxLength(8),
  v.check(
    (plugins) => new Set(plugins.map(trafficTarget)).size === plugins.length,
    "must name each receiver once",
  ),
);

const placeFields = { epoch: epochSchema, cluster: v.nullable(nameSchema), url: v.nullable(v.string()) };

/** How far one receiver knows what it shall know. Without a cluster and a URL: that nothing serves. */
export const trafficViewSchema = strictObject({
  target: v.string(),
  /** No longer in the manifest: goes away when the receiver confirmed that nothing serves. */
  removed: v.boolean(),
  wanted: strictObject({ ...placeFields, since: moment }),
  /** What it confirmed last. */
  told: v.nullable(strictObject({ ...placeFields, at: moment })),
  /** Whether that is what is wanted. */
  settled: v.boolean(),
  /** Tries since the last confirmation. */
  tries: integer,
  error: v.nullable(strictObject({ detail: v.string(), at: moment })),
});
export type TrafficView = v.InferOutput<typeof trafficViewSchema>;

/** What the file of a webhook's secret contains. */
export const webhookSecretSchema = strictObject({
  secret: v.pipe(v.string(), v.regex(/^whsec_[A-Za-z0-9+/]{32,}={0,2}$/)),
});
