import { AppError, nameSchema, parseAs, strictObject } from "@baton/protocol";
import * as v from "valibot";
import type { Clock } from "./clock.ts";
import { untilDefinite } from "./definite.ts";
import type { ObjectStore, StoredObject } from "./object-store.port.ts";
import { assertPrefix, controlPrefix, overlaps } from "./prefix.ts";

/** Which application has which prefix; one object for each bucket, because overlaps cannot be seen in separate ones. */
const claimsKey = `${controlPrefix}claims.json`;

const claimSchema = strictObject({
  prefix: v.string(),
  owner: v.pipe(v.string(), v.minLength(1)),
  application: nameSchema,
});
type Claim = v.InferOutput<typeof claimSchema>;
const claimsSchema = strictObject({ version: v.literal(1), claims: v.array(claimSchema) });

/**
 * Makes a prefix of the bucket this application's for good; the same claim again changes nothing. Claims are only ever added, so
 * that after an unclear answer it is safe to look again: a lost write that arrives late adds the same claim or is refused.
 *
 * @throws AppError `storage-overlap` (the prefix contains, is within, or is another application's), `lease-foreign` (it is another
 * owner's), `storage-unclear` when the deadline passes, `invalid-request` for a prefix that is none; what `ObjectStore` throws.
 */
export async function claimPrefix(params: {
  readonly store: ObjectStore;
  readonly prefix: string;
  readonly owner: string;
  readonly application: string;
  readonly deadlineMs: number;
  readonly clock?: Clock | undefined;
}): Promise<void> {
  const { store, prefix, owner, application } = params;
  assertPrefix(prefix);
  const claim = { prefix, owner, application };
  await untilDefinite(params, `claim the prefix "${prefix}"`, async (timeoutMs) => {
    const object = await store.get({ key: claimsKey, timeoutMs: timeoutMs() });
    const claims = readClaims(object);
    if (isClaimed(claims, claim)) return "claimed";
    const put = await store.put({
      key: claimsKey,
      body: JSON.stringify({ version: 1, claims: [...claims, claim] }),
      condition: object === null ? { kind: "absent" } : { kind: "match", etag: object.etag },
      timeoutMs: timeoutMs(),
    });
    return put.kind === "stored" ? "claimed" : "again";
  });
}

/**
 * Makes another owner's claim of this very prefix ours, after its lease was adopted; again changes nothing. Where there is none, it is made.
 *
 * @throws AppError as {@link claimPrefix}, also when the claim is neither `from`'s nor ours.
 */
export async function adoptClaim(
  params: Parameters<typeof claimPrefix>[0] & { readonly from: string },
): Promise<void> {
  const { store, prefix, owner, application, from } = params;
  const claim = { prefix, owner, application };
  await untilDefinite(params, `adopt the claim of "${prefix}"`, async (timeoutMs) => {
    const object = await store.get({ key: claimsKey, timeoutMs: timeoutMs() });
    const claims = readClaims(object).filter((one) => one.prefix !== prefix || one.owner !== from);
    if (object === null || isClaimed(claims, claim)) return "gone";
    const put = await store.put({
      key: claimsKey,
      body: JSON.stringify({ version: 1, claims: [...claims, claim] }),
      condition: { kind: "match", etag: object.etag },
      timeoutMs: timeoutMs(),
    });
    return put.kind === "stored" ? "adopted" : "again";
  });
  await claimPrefix(params);
}

function isClaimed(claims: readonly Claim[], claim: Claim): boolean {
  const other = claims.find(({ prefix }) => overlaps(prefix, claim.prefix));
  if (other === undefined) return false;
  if (other.owner !== claim.owner)
    throw new AppError(
      other.prefix === claim.prefix ? "lease-foreign" : "storage-overlap",
      `cannot claim the prefix "${claim.prefix}" for ${claim.owner}: "${other.prefix}" belongs to "${other.application}" of ${other.owner}; use another prefix`,
    );
  if (other.prefix !== claim.prefix || other.application !== claim.application)
    throw new AppError(
      "storage-overlap",
      `cannot claim the prefix "${claim.prefix}" for "${claim.application}": "${other.prefix}" belongs to "${other.application}"; use another prefix`,
    );
  return true;
}

function readClaims(object: StoredObject | null): readonly Claim[] {
  if (object === null) return [];
  let content: unknown;
  try {
    content = JSON.parse(Buffer.from(object.body).toString("utf8"));
  } catch {
    content = undefined;
  }
  return parseAs(claimsSchema, content, `the claims ${claimsKey}`, "lease-mismatch").claims;
}
