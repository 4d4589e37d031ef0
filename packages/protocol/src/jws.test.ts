import { createPrivateKey, sign as signBytes } from "node:crypto";
import fc from "fast-check";
import {
  CompactSign,
  SignJWT,
  compactVerify,
  generateKeyPair,
  importJWK,
  exportJWK,
  jwtVerify,
  decodeProtectedHeader,
} from "jose";
import { describe, expect, it } from "vitest";
import * as v from "valibot";
import { signCommand, verifyCommand } from "./command.ts";
import { receiptFor } from "./fixtures/sample-receipt.ts";
import { newPlacementId } from "./ids.ts";
import { readJwsHeader, signJws, verifyJws } from "./jws.ts";
import { createKeyPair, privateKeySchema, publicKeyOf } from "./keys.ts";
import { signReceipt, verifyReceipt } from "./receipt.ts";

const { privateKey, publicKey } = await createKeyPair();
const josePublic = await importJWK({ ...publicKey, alg: "EdDSA" });
const type = "test+json";
const longest = 4_096;

const sign = (payload: string, keyId?: string) => signJws({ type, keyId, payload, key: privateKey });
const verify = (jws: string) => verifyJws({ type, jws, key: publicKey, longest });
const bare = (text: string | Buffer) => Buffer.from(text).toString("base64url");
/** Rightly signed, whatever the header says. */
const withHeader = (header: string, payload = "{}"): string => {
  const signed = `${bare(header)}.${bare(payload)}`;
  return `${signed}.${signature(signed)}`;
};
const signature = (signed: string): string =>
  signBytes(null, Buffer.from(signed), createPrivateKey({ key: privateKey, format: "jwk" })).toString(
    "base64url",
  );

describe("what jose and we sign for each other", () => {
  it("is the same header, payload and signature, byte by byte: Ed25519 leaves nothing open", async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: "binary" }), fc.uuid(), async (payload, keyId) => {
        const theirs = await new CompactSign(Buffer.from(payload))
          .setProtectedHeader({ alg: "EdDSA", typ: type, kid: keyId })
          .sign(privateKey);
        expect(sign(payload, keyId)).toBe(theirs);
        expect(verify(theirs)).toEqual({ payload, keyId });
        const back = await compactVerify(sign(payload, keyId), josePublic, { algorithms: ["EdDSA"] });
        expect(Buffer.from(back.payload).toString()).toBe(payload);
      }),
    );
  });

  it("is accepted with keys that either made", async () => {
    const pair = await generateKeyPair("EdDSA", { crv: "Ed25519", extractable: true });
    const key = v.parse(privateKeySchema, await exportJWK(pair.privateKey));
    const jws = signJws({ type, payload: "x", key });
    expect(Buffer.from((await compactVerify(jws, pair.publicKey)).payload).toString()).toBe("x");
    expect(verifyJws({ type, jws, key: publicKeyOf(key), longest }).payload).toBe("x");
  });

  it("is a JWT and a receipt to both", async () => {
    const placement = newPlacementId();
    const token = await signCommand({ key: privateKey, placement, epoch: 1, command: { kind: "read" } });
    const { payload, protectedHeader } = await jwtVerify(token, josePublic, {
      algorithms: ["EdDSA"],
      typ: "baton-command+jwt",
      issuer: "baton",
      audience: placement,
      maxTokenAge: 30,
      requiredClaims: ["jti", "exp", "iat"],
    });
    expect(protectedHeader).toEqual({ alg: "EdDSA", typ: "baton-command+jwt" });
    const theirs = await new SignJWT(payload).setProtectedHeader(protectedHeader).sign(privateKey);
    await expect(verifyCommand({ key: publicKey, placement, token: theirs })).resolves.toMatchObject({
      command: { kind: "read" },
      nonce: payload.jti,
    });
    const receipt = receiptFor(placement);
    const jws = await signReceipt(receipt, privateKey);
    expect(decodeProtectedHeader(jws).kid).toBe(placement);
    const seen = await compactVerify(jws, josePublic, { algorithms: ["EdDSA"] });
    expect(JSON.parse(Buffer.from(seen.payload).toString())).toEqual(receipt);
    await expect(verifyReceipt(jws, publicKey)).resolves.toEqual(receipt);
  });
});

describe("a JWS", () => {
  const whole = sign('{"a":1}', "k");
  const [header = "", payload = "", end = ""] = whole.split(".");

  it("is accepted as it was signed", () => {
    expect(verify(whole)).toEqual({ payload: '{"a":1}', keyId: "k" });
    expect(verify(sign("no key id"))).toEqual({ payload: "no key id", keyId: undefined });
    expect(verify(withHeader(`{"alg":"EdDSA","typ":"${type}"}`)).payload).toBe("{}");
  });

  it("is refused with any one bit of any character flipped, the last one too", () => {
    for (let at = 0; at < whole.length; at += 1)
      for (let bit = 0; bit < 8; bit += 1) {
        const changed = String.fromCharCode(whole.charCodeAt(at) ^ (1 << bit));
        expect(() => verify(whole.slice(0, at) + changed + whole.slice(at + 1))).toThrow(Error);
      }
  });

  it("is refused with any one bit of its signature flipped", () => {
    for (let bit = 0; bit < 512; bit += 1) {
      const bytes = Buffer.from(end, "base64url");
      bytes.writeUInt8((bytes.at(bit >> 3) ?? 0) ^ (1 << (bit & 7)), bit >> 3);
      expect(() => verify(`${header}.${payload}.${bare(bytes)}`)).toThrow("signature");
    }
  });

  it("is refused cut short, made longer, or with something in between", () => {
    for (let length = 0; length < whole.length; length += 1)
      expect(() => verify(whole.slice(0, length))).toThrow(Error);
    fc.assert(
      fc.property(fc.nat(whole.length), fc.string({ minLength: 1 }), (at, more) => {
        expect(() => verify(whole.slice(0, at) + more + whole.slice(at))).toThrow(Error);
      }),
      { numRuns: 500 },
    );
  });

  it.each([
    ["two parts", `${header}.${payload}`],
    ["a part more", `${whole}.`],
    ["a part more, filled", `${whole}.${payload}`],
    ["five parts, as if encrypted", `${whole}.${payload}.${end}`],
    ["a detached payload", `${header}..${end}`],
    ["no signature", `${header}.${payload}.`],
    ["padding", `${header}.${payload}.${end}==`],
    ["the other alphabet", `${header}.${payload}.${"+".repeat(86)}`],
    ["a line break", `${whole}\n`],
    ["a blank before it", ` ${whole}`],
    ["the JSON form", JSON.stringify({ protected: header, payload, signature: end })],
  ])("is refused with %s", (_, jws) => {
    expect(() => verify(jws)).toThrow(Error);
  });

  it.each([
    ["no algorithm", `{"typ":"${type}"}`],
    ["the algorithm none", `{"alg":"none","typ":"${type}"}`],
    ["HS256", `{"alg":"HS256","typ":"${type}"}`],
    ["ES256", `{"alg":"ES256","typ":"${type}"}`],
    ["Ed25519, the newer name", `{"alg":"Ed25519","typ":"${type}"}`],
    ["another spelling of the algorithm", `{"alg":"eddsa","typ":"${type}"}`],
    ["a list of algorithms", `{"alg":["EdDSA"],"typ":"${type}"}`],
    ["no type", '{"alg":"EdDSA"}'],
    ["another type", '{"alg":"EdDSA","typ":"JWT"}'],
    ["another case of the type", `{"alg":"EdDSA","typ":"${type.toUpperCase()}"}`],
    ["crit", `{"alg":"EdDSA","typ":"${type}","crit":["exp"],"exp":1}`],
    ["an empty crit", `{"alg":"EdDSA","typ":"${type}","crit":[]}`],
    ["an unencoded payload", `{"alg":"EdDSA","typ":"${type}","b64":false,"crit":["b64"]}`],
    ["a key of its own", `{"alg":"EdDSA","typ":"${type}","jwk":${JSON.stringify(publicKey)}}`],
    ["an address of keys", `{"alg":"EdDSA","typ":"${type}","jku":"https://example.org/"}`],
    ["a member that nobody knows", `{"alg":"EdDSA","typ":"${type}","x":1}`],
    ["a prototype", `{"alg":"EdDSA","typ":"${type}","__proto__":{}}`],
    ["a key id that is no text", `{"alg":"EdDSA","typ":"${type}","kid":1}`],
    ["the algorithm twice", `{"alg":"none","alg":"EdDSA","typ":"${type}"}`],
    ["the key id twice", `{"alg":"EdDSA","typ":"${type}","kid":"a","kid":"b"}`],
    ["a member twice, once escaped", `{"alg":"EdDSA","typ":"${type}","kid":"a","k\\u0069d":"b"}`],
    ["blanks", `{ "alg": "EdDSA", "typ": "${type}" }`],
    ["a byte order mark", `\ufeff{"alg":"EdDSA","typ":"${type}"}`],
    ["no object", '"EdDSA"'],
    ["null", "null"],
    ["a list", '["EdDSA"]'],
    ["no JSON", "EdDSA"],
    ["nothing", ""],
    ["more than a header needs", `{"alg":"EdDSA","typ":"${type}","kid":"${"k".repeat(400)}"}`],
  ])("is refused with a header of %s, though rightly signed", (_, text) => {
    expect(() => verify(withHeader(text))).toThrow(Error);
  });

  it("is refused where the public key was used as a shared secret", async () => {
    for (const secret of [Buffer.from(publicKey.x, "base64url"), Buffer.from(publicKey.x)]) {
      const shared = await new CompactSign(Buffer.from("{}"))
        .setProtectedHeader({ alg: "HS256", typ: type })
        .sign(secret);
      expect(() => verify(shared)).toThrow(Error);
      const [, , mac = ""] = shared.split(".");
      expect(() => verify(`${header}.${payload}.${mac}`)).toThrow("signature");
    }
  });

  it("is refused from another key, also where that key came with the same object before", async () => {
    const stranger = await createKeyPair();
    const jws = signJws({ type, payload: "{}", key: stranger.privateKey });
    expect(verifyJws({ type, jws, key: stranger.publicKey, longest }).payload).toBe("{}");
    expect(() => verify(jws)).toThrow("signature");
  });

  it("is refused with the order of the group added to its scalar: one message has one signature", () => {
    const order = (1n << 252n) + 27742317777372353535851937790883648493n;
    const bytes = Buffer.from(end, "base64url");
    const scalar = BigInt(`0x${Buffer.from(bytes.subarray(32)).reverse().toString("hex")}`) + order;
    const twin = Buffer.from(scalar.toString(16).padStart(64, "0"), "hex").reverse();
    expect(() =>
      verify(`${header}.${payload}.${bare(Buffer.concat([bytes.subarray(0, 32), twin]))}`),
    ).toThrow("signature");
  });

  it("is refused unread above the length that the caller gives, and accepted at it", () => {
    const jws = sign("x".repeat(1_000));
    expect(verifyJws({ type, jws, key: publicKey, longest: jws.length }).payload).toHaveLength(1_000);
    expect(() => verifyJws({ type, jws, key: publicKey, longest: jws.length - 1 })).toThrow("too long");
  });

  it("is never anything else: any three parts are refused", () => {
    const part = fc.oneof(fc.string(), fc.string().map(bare), fc.constantFrom(header, payload, end));
    fc.assert(
      fc.property(part, part, part, (a, b, c) => {
        fc.pre(`${a}.${b}.${c}` !== whole);
        expect(() => verify(`${a}.${b}.${c}`)).toThrow(Error);
      }),
      { numRuns: 1_000 },
    );
  });

  it("has a header that can be read without a key", () => {
    expect(readJwsHeader(whole)).toEqual({ alg: "EdDSA", typ: type, kid: "k" });
    expect(() => readJwsHeader(`${header}.${payload}`)).toThrow(Error);
  });
});

describe("a key whose halves do not belong together", () => {
  it("signs nothing: what it signed would verify nowhere", async () => {
    const other = await createKeyPair();
    const key = { ...privateKey, x: other.publicKey.x };
    expect(() => signJws({ type, payload: "{}", key })).toThrow("do not belong together");
  });
});
