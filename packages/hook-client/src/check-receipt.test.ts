import { type Receipt, createKeyPair, newOperationId, newPlacementId, signReceipt } from "@baton/protocol";
import { describe, expect, it } from "vitest";
import { checkReceipt } from "./check-receipt.ts";

const keys = await createKeyPair();
const placement = newPlacementId();
const operation = newOperationId();
const run = { placement, instance: "i1", counter: 1 };
const at = "2026-01-01T00:00:00.000Z";
const receipt: Receipt = {
  version: 1,
  key: "k",
  operation,
  application: "ledger",
  placement,
  epoch: 3,
  run,
  outcome: "refused",
  evidenceClass: "unknown",
  exit: null,
  signals: [],
  phases: [],
  timings: { receivedAt: at, signalledAt: null, exitedAt: null, verifiedAt: null, stopMs: null },
  evidence: { treeGone: false, remaining: [], checks: [], bootId: "b" },
  agentVersion: "0.1.0",
};
const jws = await signReceipt(receipt, keys.privateKey);
const whole = { placement, application: "ledger", operation, key: "k", run, epoch: 3 };

describe("a receipt", () => {
  it("that is about what was expected is given, however the stop ended", async () => {
    expect(await checkReceipt(jws, keys.publicKey, whole)).toEqual(receipt);
    expect(await checkReceipt(jws, keys.publicKey)).toEqual(receipt);
  });

  it.each([
    ["placement", { placement: newPlacementId() }],
    ["application", { application: "other" }],
    ["operation", { operation: newOperationId() }],
    ["key", { key: "other" }],
    ["epoch", { epoch: 4 }],
    ["epoch", { epoch: 0 }],
    ["run", { run: { ...run, counter: 2 } }],
  ])("about another %s is not valid, and the error names it", async (field, other) => {
    await expect(checkReceipt(jws, keys.publicKey, { ...whole, ...other })).rejects.toMatchObject({
      code: "receipt-invalid",
      message: expect.stringContaining(`its ${field} is `) as string,
      meta: { differs: [expect.objectContaining({ field }) as object] },
    });
  });

  it("without a run is not about any run", async () => {
    const burned = await signReceipt({ ...receipt, run: null, outcome: "never-started" }, keys.privateKey);
    await expect(checkReceipt(burned, keys.publicKey, { run })).rejects.toThrow("its run is none");
  });

  it("signed by another key, changed by a byte or no receipt at all is not valid", async () => {
    const other = (await createKeyPair()).publicKey;
    await expect(checkReceipt(jws, other, whole)).rejects.toMatchObject({ code: "receipt-invalid" });
    const [head = "", body = "", signature = ""] = jws.split(".");
    const forged = Buffer.from(JSON.stringify({ ...receipt, outcome: "graceful" })).toString("base64url");
    for (const text of ["", "..", "null", `${head}.${forged}.${signature}`, `${head}.${body}.`])
      await expect(checkReceipt(text, keys.publicKey)).rejects.toMatchObject({ code: "receipt-invalid" });
  });
});
