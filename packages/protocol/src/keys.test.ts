import { describe, expect, it } from "vitest";
import * as v from "valibot";
import { createKeyPair, privateKeySchema, publicKeyOf, publicKeySchema } from "./keys.ts";
import { parseAs } from "./parse.ts";

describe("a key pair", () => {
  it("is an Ed25519 pair as JWK, new each time", async () => {
    const { publicKey, privateKey } = await createKeyPair();
    expect(v.parse(privateKeySchema, privateKey)).toEqual(privateKey);
    expect(v.parse(publicKeySchema, publicKey)).toEqual(publicKey);
    expect((await createKeyPair()).publicKey.x).not.toBe(publicKey.x);
  });

  it("has a public half without the secret", async () => {
    const { publicKey, privateKey } = await createKeyPair();
    expect(publicKeyOf(privateKey)).toEqual(publicKey);
    expect(Object.keys(publicKeyOf(privateKey)).toSorted()).toEqual(["crv", "kty", "x"]);
  });

  it("is refused as a public key", async () => {
    const { privateKey } = await createKeyPair();
    expect(v.is(publicKeySchema, privateKey)).toBe(false);
  });

  it("never stands in the error about it", async () => {
    const { privateKey } = await createKeyPair();
    for (const wrong of [
      { ...privateKey, d: `${privateKey.d}!` },
      { ...privateKey, kty: privateKey.d },
      { ...privateKey, x: [privateKey.d] },
      { ...privateKey, [`d: ${privateKey.d}`]: 1 },
      privateKey.d,
    ])
      try {
        parseAs(privateKeySchema, wrong, "the key");
        expect.unreachable();
      } catch (error) {
        expect(String(error)).toContain("cannot read the key");
        expect(String(error)).not.toContain(privateKey.d);
      }
  });

  it.each([
    { kty: "EC" },
    { crv: "X25519" },
    { x: "short" },
    { x: "+".repeat(43) },
    { x: "A".repeat(44) },
    { use: "sig" },
  ])("is refused with %o", async (change) => {
    const { publicKey } = await createKeyPair();
    expect(v.is(publicKeySchema, { ...publicKey, ...change })).toBe(false);
  });
});
