import { AppError, receiptPlacement, verifyReceipt } from "@baton/protocol";
import type { OperationEngine } from "./engine/operation-engine.ts";
import type { OperationRecords } from "./records/operation-records.ts";
import type { PlacementRecords } from "./records/placement-records.ts";

export interface ConfirmReceiptParams {
  readonly operations: Pick<OperationRecords, "find">;
  readonly placements: Pick<PlacementRecords, "find">;
  readonly deliver: OperationEngine["deliver"];
}

/**
 * Hands an agent's receipt to the operation that it is about. One for an operation that ended or that nobody knows any more is accepted and dropped:
 * the agent shall not send it for ever, and serves it still.
 *
 * @throws `unknown-placement`; `receipt-invalid` when the signature is not the placement's, or the operation is not about this placement: whoever
 * holds the key of one application must not speak in an operation of another.
 */
export async function confirmReceipt(params: ConfirmReceiptParams, jws: string): Promise<void> {
  const placement = receiptPlacement(jws);
  const key = placement === null ? null : (await params.placements.find(placement)).publicKey;
  if (key === null)
    throw new AppError("receipt-invalid", "cannot accept the receipt: its placement is not known");
  const receipt = await verifyReceipt(jws, key);
  const operation = await params.operations.find(receipt.operation);
  if (operation === null || operation.endedAt !== null) return;
  if (receipt.placement !== operation.source && receipt.placement !== operation.target)
    throw new AppError(
      "receipt-invalid",
      `cannot accept the receipt: operation ${operation.id} is not about placement ${receipt.placement}`,
    );
  await params.deliver(operation.id, receipt.key, jws);
}
