import fc from "fast-check";
import { CompactSign } from "jose";
import { describe, expect, it } from "vitest";
import { signCommand } from "./command.ts";
import { receiptFor } from "./fixtures/sample-receipt.ts";
import { newPlacementId } from "./ids.ts";
import { createKeyPair } from "./keys.ts";
import { type Receipt, receiptPlacement, signReceipt, verifyReceipt } from "./receipt.ts";

const { privateKey, publicKey } = await createKeyPair();
const placement = newPlacementId();
const receipt = receiptFor(placement);

/** A receipt that the placement's key has signed, with another content or header. */
const forge = (content: unknown, header: object = {}) =>
  new CompactSign(Buffer.from(typeof content === "string" ? content : JSON.stringify(content)))
    .setProtectedHeader({ alg: "EdDSA", typ: "baton-receipt+json", kid: placement, ...header })
    .sign(privateKey);

const refused = expect.objectContaining({ name: "AppError", code: "receipt-invalid" });

describe("a receipt", () => {
  it("comes back as it was signed", async () => {
    const neverStarted: Receipt = {
      ...receipt,
      run: null,
      outcome: "never-started",
      exit: null,
      signals: [],
      timings: { ...receipt.timings, signalledAt: null, exitedAt: null, verifiedAt: null, stopMs: null },
    };
    for (const content of [receipt, neverStarted])
      expect(await verifyReceipt(await signReceipt(content, privateKey), publicKey)).toEqual(content);
  });

  it("is what the forgeries below are made from", async () => {
    await expect(verifyReceipt(await forge(receipt), publicKey)).resolves.toEqual(receipt);
  });

  it("is not accepted from another key", async () => {
    const stranger = await createKeyPair();
    const jws = await signReceipt(receipt, stranger.privateKey);
    await expect(verifyReceipt(jws, publicKey)).rejects.toEqual(refused);
  });

  it("is not accepted with another content", async () => {
    const [header, , signature] = (await signReceipt({ ...receipt, outcome: "forced" }, privateKey)).split(
      ".",
    );
    const payload = Buffer.from(JSON.stringify(receipt)).toString("base64url");
    await expect(verifyReceipt(`${header}.${payload}.${signature}`, publicKey)).rejects.toEqual(refused);
  });

  it("is not accepted after the change of any one character", async () => {
    const jws = await signReceipt(receipt, privateKey);
    await fc.assert(
      // The last character has bits that belong to no byte.
      fc.asyncProperty(fc.nat(jws.length - 2), async (at) => {
        const changed = jws.charAt(at) === "A" ? "B" : "A";
        const other = jws.slice(0, at) + changed + jws.slice(at + 1);
        await expect(verifyReceipt(other, publicKey)).rejects.toEqual(refused);
      }),
      { numRuns: 60 },
    );
  });

  it.each<[string, object]>([
    ["the key id of another placement", { kid: newPlacementId() }],
    ["no key id", { kid: undefined }],
    ["another type", { typ: "baton-command+jwt" }],
    ["no type", { typ: undefined }],
  ])("is not accepted with %s", async (_, header) => {
    await expect(verifyReceipt(await forge(receipt, header), publicKey)).rejects.toEqual(refused);
  });

  it.each<[string, unknown]>([
    ["an unknown outcome", { ...receipt, outcome: "fine" }],
    ["a field too many", { ...receipt, more: 1 }],
    ["another version", { ...receipt, version: 2 }],
    ["no run and no null", { ...receipt, run: undefined }],
    ["no JSON", "graceful"],
  ])("is not accepted with %s", async (_, content) => {
    await expect(verifyReceipt(await forge(content), publicKey)).rejects.toEqual(refused);
  });

  it("is not accepted without a signature, or with the public key as shared secret", async () => {
    const payload = Buffer.from(JSON.stringify(receipt)).toString("base64url");
    const header = Buffer.from(JSON.stringify({ alg: "none", typ: "baton-receipt+json", kid: placement }));
    const shared = await new CompactSign(Buffer.from(JSON.stringify(receipt)))
      .setProtectedHeader({ alg: "HS256", typ: "baton-receipt+json", kid: placement })
      .sign(Buffer.from(publicKey.x, "base64url"));
    for (const jws of [`${header.toString("base64url")}.${payload}.`, shared, "", "..", "a.b.c"])
      await expect(verifyReceipt(jws, publicKey)).rejects.toEqual(refused);
  });

  it("is not a command token", async () => {
    const token = await signCommand({ key: privateKey, placement, epoch: 3, command: { kind: "read" } });
    await expect(verifyReceipt(token, publicKey)).rejects.toEqual(refused);
    expect(receiptPlacement(token)).toBeNull();
  });

  it("is not signed when its shape is wrong", async () => {
    const wrong = { ...receipt, outcome: "fine" } as unknown as Receipt;
    await expect(signReceipt(wrong, privateKey)).rejects.toMatchObject({
      code: "internal",
      message: expect.stringContaining('"outcome"'),
    });
  });
});

describe("the placement that a receipt names", () => {
  it("is read without the key", async () => {
    expect(receiptPlacement(await signReceipt(receipt, privateKey))).toBe(placement);
  });

  it("is null in anything else", async () => {
    expect(receiptPlacement(await forge(receipt, { kid: "../../etc" }))).toBeNull();
    fc.assert(
      fc.property(fc.string(), (jws) => {
        expect(receiptPlacement(jws)).toBeNull();
      }),
    );
  });
});
