import {
  AppError,
  type PublicKey,
  type Receipt,
  type Run,
  formatRun,
  sameRun,
  verifyReceipt,
} from "@baton/protocol";

/** What a receipt must be about; what is left out is not compared. */
export interface ExpectedReceipt {
  readonly placement?: string | undefined;
  readonly application?: string | undefined;
  readonly operation?: string | undefined;
  readonly key?: string | undefined;
  readonly run?: Run | undefined;
  readonly epoch?: number | undefined;
}

/**
 * The content of a receipt whose signature is by `publicKey` and which is about what was expected. Needs no agent and no network.
 * It does not judge how the stop ended: look at `outcome` and `evidenceClass`.
 *
 * @throws AppError `receipt-invalid`, with the fields that differ in `meta.differs`
 */
export async function checkReceipt(
  jws: string,
  publicKey: PublicKey,
  expected: ExpectedReceipt = {},
): Promise<Receipt> {
  const receipt = await verifyReceipt(jws, publicKey);
  const { run, ...plain } = expected;
  const differs = Object.entries(plain)
    .filter(([field, value]) => value !== undefined && receipt[field as keyof typeof plain] !== value)
    .map(([field, value]) => ({
      field,
      expected: String(value),
      found: String(receipt[field as keyof typeof plain]),
    }));
  if (run !== undefined && !sameRun(receipt.run, run))
    differs.push({
      field: "run",
      expected: formatRun(run),
      found: receipt.run === null ? "none" : formatRun(receipt.run),
    });
  if (differs.length === 0) return receipt;
  const words = differs.map((one) => `its ${one.field} is ${one.found}, not ${one.expected}`).join("; ");
  throw new AppError("receipt-invalid", `cannot accept the receipt: ${words}`, { meta: { differs } });
}
