export type Config = {
  /** Loopback, unless something else is to be reached: in a container, whatever its engine forwards from. */
  readonly host: string;
  readonly port: number;
  readonly endpoint: string;
  readonly region: string;
  /** Null: the SDK asks for them where its environment says, and again before they run out. */
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string } | null;
  readonly bucket: string;
  /** Ends with "/". */
  readonly prefix: string;
  readonly flushIntervalMs: number;
  readonly dirtyExpireMs: number;
  /** When an entry is acknowledged: once it is in memory, or only once it is in the bucket. */
  readonly acknowledge: "in-memory" | "durable";
};

/**
 * Parses the environment. Throws an Error of one line that names every variable that is wrong; values are not
 * repeated, since one of them is a secret.
 */
export function readConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const faults: string[] = [];
  const text = (name: string): string => {
    const value = env[name];
    if (value === undefined || value === "") faults.push(`${name} is not set`);
    return value ?? "";
  };
  const integer = (name: string, fallback: number | undefined, min: number, max: number): number => {
    const value = env[name] ?? (fallback === undefined ? text(name) : String(fallback));
    const number = /^\d+$/.test(value) ? Number(value) : NaN;
    if (value !== "" && !(number >= min && number <= max))
      faults.push(`${name} must be a whole number from ${min} to ${max}`);
    return number;
  };

  const acknowledge = env["ACKNOWLEDGE"] ?? "in-memory";
  if (acknowledge !== "in-memory" && acknowledge !== "durable")
    faults.push('ACKNOWLEDGE must be "in-memory" or "durable"');

  const config: Config = {
    host: env["LISTEN_HOST"] ?? "127.0.0.1",
    port: integer("PORT", undefined, 0, 65_535),
    endpoint: text("AWS_ENDPOINT_URL_S3"),
    region: text("AWS_REGION"),
    credentials: env["AWS_CONTAINER_CREDENTIALS_FULL_URI"]
      ? null
      : { accessKeyId: text("AWS_ACCESS_KEY_ID"), secretAccessKey: text("AWS_SECRET_ACCESS_KEY") },
    bucket: text("BATON_BUCKET"),
    prefix: text("BATON_PREFIX"),
    flushIntervalMs: integer("FLUSH_INTERVAL_MS", 2_000, 10, 3_600_000),
    dirtyExpireMs: integer("DIRTY_EXPIRE_MS", 750, 0, 3_600_000),
    acknowledge: acknowledge === "durable" ? "durable" : "in-memory",
  };
  if (config.endpoint !== "" && !/^https?:$/.test(URL.parse(config.endpoint)?.protocol ?? ""))
    faults.push("AWS_ENDPOINT_URL_S3 must be an http or https URL");
  if (config.prefix !== "" && (!config.prefix.endsWith("/") || config.prefix.startsWith("/")))
    faults.push('BATON_PREFIX must end with "/" and not start with it');
  if (faults.length > 0) throw new Error(`cannot start the ledger: ${faults.join("; ")}`);
  return Object.freeze(config);
}
