import { AppError, parseAs, receiptSchema } from "@baton/protocol";
import type { Clock } from "./clock.ts";
import { untilDefinite } from "./definite.ts";
import type { ObjectStore } from "./object-store.port.ts";
import { assertPrefix, controlPrefix } from "./prefix.ts";

/**
 * "ledger/", "op-1.stop.0" → ".baton/leases/ledger/receipts/op-1.stop.0.jws": beside the lease, where no application's key may write.
 *
 * @throws AppError `invalid-request` for a prefix or a key that is none.
 */
export function receiptKey(prefix: string, key: string): string {
  assertPrefix(prefix);
  // A command's key has no slash, so it cannot lead elsewhere.
  const name = parseAs(receiptSchema.entries.key, key, "the receipt's key");
  return `${controlPrefix}leases/${prefix}receipts/${name}.jws`;
}

/**
 * Puts a receipt into the bucket, create-only (rule 17): whatever is there first stays for good. Safe to repeat at any time.
 *
 * An unclear answer is settled by sending the very same write again; a refusal proves that something is there, and what is read then is
 * what will be there: the same bytes are this receipt, whoever put them there.
 *
 * @param params.jws the receipt as it was signed and made durable; never signed anew, for other bytes are another receipt.
 * @param params.timeoutMs for the whole.
 * @returns `present` when the very same bytes were there already, maybe by a write of ours whose answer was lost.
 * @throws AppError `command-conflict` (other bytes are there), `storage-unclear` (not known in time), `invalid-request` (prefix or
 * key); what `ObjectStore` throws at once for a missing bucket or wrong keys. Only the first says that the receipt is not there.
 */
export async function putReceipt(params: {
  readonly store: ObjectStore;
  readonly prefix: string;
  readonly key: string;
  readonly jws: string;
  readonly timeoutMs: number;
  readonly clock?: Clock | undefined;
}): Promise<"stored" | "present"> {
  const { store, jws, timeoutMs: deadlineMs, clock } = params;
  const key = receiptKey(params.prefix, params.key);
  const body = Buffer.from(jws);
  return untilDefinite({ deadlineMs, clock }, `write the receipt ${key}`, async (timeoutMs) => {
    const put = await store.put({ key, body, condition: { kind: "absent" }, timeoutMs: timeoutMs() });
    if (put.kind === "stored") return "stored";
    const there = await store.get({ key, timeoutMs: timeoutMs() });
    // A 409 only says that another write was under way; that one may have failed.
    if (there === null) return "again";
    if (body.equals(there.body)) return "present";
    throw new AppError(
      "command-conflict",
      `cannot write the receipt ${key}: another one is there; find out who answered the same command differently before either is used`,
    );
  });
}

/**
 * The receipt as it was signed, or null when the store says that there is none. What it says is not checked here: verify it.
 *
 * @throws AppError `invalid-request` (prefix or key); everything that `ObjectStore.get` throws.
 */
export async function getReceipt(params: {
  readonly store: ObjectStore;
  readonly prefix: string;
  readonly key: string;
  readonly timeoutMs: number;
}): Promise<string | null> {
  const { store, timeoutMs } = params;
  const object = await store.get({ key: receiptKey(params.prefix, params.key), timeoutMs });
  return object === null ? null : Buffer.from(object.body).toString("utf8");
}
