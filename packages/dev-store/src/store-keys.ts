/** One grant of a key: every object of `bucket` whose key starts with `prefix` ("" is the whole bucket). */
export interface Allowance {
  readonly bucket: string;
  readonly prefix: string;
  /** Without it the grant only reads and lists. */
  readonly write: boolean;
}

export interface StoreKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly allow: ReadonlyArray<Allowance>;
}

/** The content of a keys file: the buckets that exist and the keys that may use them. */
export interface StoreKeys {
  readonly buckets: ReadonlyArray<string>;
  readonly keys: ReadonlyArray<StoreKey>;
}

/** Whether the key may read, or write, what starts with `name` (a key, or the prefix of a listing). */
export function isAllowed(key: StoreKey, access: "read" | "write", bucket: string, name: string): boolean {
  return key.allow.some(
    (grant) => grant.bucket === bucket && name.startsWith(grant.prefix) && (access === "read" || grant.write),
  );
}

/**
 * Parses the JSON of a keys file.
 * @throws Error that names the field, when the value has another shape, an unknown field, a key twice, or a
 * grant for a bucket that is not listed.
 */
export function parseStoreKeys(value: unknown): StoreKeys {
  const top = fields(value, "the keys file", ["buckets", "keys"]);
  const buckets = list(top["buckets"], "buckets").map((item, at) => bucketName(item, `buckets[${at}]`));
  const keys = list(top["keys"], "keys").map((item, at) => parseKey(item, `keys[${at}]`, buckets));
  const ids = new Set(keys.map((key) => key.accessKeyId));
  if (ids.size !== keys.length) throw new Error("keys: an accessKeyId is there twice");
  return { buckets, keys };
}

function parseKey(value: unknown, where: string, buckets: ReadonlyArray<string>): StoreKey {
  const key = fields(value, where, ["accessKeyId", "secretAccessKey", "allow"]);
  return {
    accessKeyId: text(key["accessKeyId"], `${where}.accessKeyId`, /^[\w.+-]+$/),
    secretAccessKey: text(key["secretAccessKey"], `${where}.secretAccessKey`, /./),
    allow: list(key["allow"], `${where}.allow`).map((item, at) =>
      parseAllowance(item, `${where}.allow[${at}]`, buckets),
    ),
  };
}

function parseAllowance(value: unknown, where: string, buckets: ReadonlyArray<string>): Allowance {
  const grant = fields(value, where, ["bucket", "prefix", "write"]);
  const bucket = bucketName(grant["bucket"], `${where}.bucket`);
  if (!buckets.includes(bucket)) throw new Error(`${where}.bucket: "${bucket}" is not listed under buckets`);
  const write = grant["write"];
  if (typeof write !== "boolean") throw new Error(`${where}.write: must be true or false`);
  return { bucket, prefix: text(grant["prefix"], `${where}.prefix`, /^/), write };
}

function bucketName(value: unknown, where: string): string {
  return text(value, where, /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/);
}

function fields(value: unknown, where: string, allowed: ReadonlyArray<string>): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new Error(`${where}: must be an object`);
  const unknown = Object.keys(value).find((name) => !allowed.includes(name));
  if (unknown !== undefined)
    throw new Error(`${where}: unknown field "${unknown}"; allowed are ${allowed.join(", ")}`);
  return Object.fromEntries(Object.entries(value));
}

function list(value: unknown, where: string): ReadonlyArray<unknown> {
  if (!Array.isArray(value)) throw new Error(`${where}: must be a list`);
  return value;
}

function text(value: unknown, where: string, pattern: RegExp): string {
  // The value stays out of the message: it may be a secret.
  if (typeof value !== "string" || !pattern.test(value))
    throw new Error(`${where}: must be a string that matches ${String(pattern)}`);
  return value;
}
