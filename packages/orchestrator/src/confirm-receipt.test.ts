import { createKeyPair, newOperationId, newPlacementId } from "@baton/protocol";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { confirmReceipt } from "./confirm-receipt.ts";
import { type RecordsBed, createSigner, openRecordsBed } from "./fixtures/records-bed.ts";

let bed: RecordsBed;
let delivered: string[][];
beforeAll(async () => {
  bed = await openRecordsBed();
});
afterAll(() => bed.end());
beforeEach(() => {
  delivered = [];
});

const confirm = (jws: string) =>
  confirmReceipt({ ...bed, deliver: async (...message) => void delivered.push(message) }, jws);

/** An application that is being migrated, with the key of its source. */
async function migration() {
  const { application, target: placement } = await bed.deployed();
  const signer = await createSigner();
  await bed.placements.pinKey(placement, signer.publicKey, "http://127.0.0.1:1");
  const { id: operation } = await bed.insert({ kind: "migrate", application, to: "harbor-b" });
  return { ...signer, about: { application, placement, operation } };
}

describe("a confirmation", () => {
  it("reaches the operation that it is about, under its key", async () => {
    const { sign, about } = await migration();
    const { jws, receipt } = await sign(about);
    await confirm(jws);
    expect(delivered).toEqual([[about.operation, receipt.key, jws]]);
  });

  it("is refused without effect when it is forged, garbage or of nobody", async () => {
    const { about } = await migration();
    const stranger = await createSigner();
    const forged = await stranger.sign(about);
    const unknown = await stranger.sign({ ...about, placement: newPlacementId() });
    const unpinned = await bed.begin({ kind: "deploy", application: await bed.declare(), to: "harbor-a" });
    const keyless = await stranger.sign({ ...about, placement: unpinned.target });
    const [header, payload, signature] = forged.jws.split(".");
    const unsigned = `${Buffer.from(`{"alg":"none","kid":"${about.placement}"}`).toString("base64url")}.${payload}.`;
    const cases = [
      [forged.jws, "receipt-invalid"],
      [keyless.jws, "receipt-invalid"],
      [unknown.jws, "unknown-placement"],
      [unsigned, "receipt-invalid"],
      [`${header}.${payload?.slice(2)}.${signature}`, "receipt-invalid"],
      ["garbage", "receipt-invalid"],
      ["..", "receipt-invalid"],
    ] as const;
    for (const [jws, code] of cases) await expect(confirm(jws)).rejects.toMatchObject({ code });
    expect(delivered).toEqual([]);
  });

  it("of another application's placement does not speak in this operation", async () => {
    const [own, other] = [await migration(), await migration()];
    const { jws } = await other.sign({ ...own.about, placement: other.about.placement });
    await expect(confirm(jws)).rejects.toMatchObject({ code: "receipt-invalid" });
    expect(delivered).toEqual([]);
  });

  it("is accepted and dropped when its operation ended or is not known any more", async () => {
    const { sign, about } = await migration();
    const { jws } = await sign(about);
    await bed.operations.end(about.operation, { state: "halted", reason: { code: "internal", detail: "" } });
    await confirm(jws);
    await confirm((await sign({ ...about, operation: newOperationId() })).jws);
    expect(delivered).toEqual([]);
  });

  it("is judged by the key that was recorded first", async () => {
    const { sign, about } = await migration();
    const other = await createKeyPair();
    await expect(
      bed.placements.pinKey(about.placement, other.publicKey, "http://127.0.0.1:2"),
    ).rejects.toMatchObject({ code: "agent-identity" });
    await confirm((await sign(about)).jws);
    expect(delivered).toHaveLength(1);
  });
});
