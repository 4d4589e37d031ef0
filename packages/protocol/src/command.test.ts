import fc from "fast-check";
import { SignJWT, UnsecuredJWT } from "jose";
import { describe, expect, it } from "vitest";
import * as v from "valibot";
import {
  type Command,
  assertBodyMatches,
  bodySha256,
  commandClockToleranceSeconds,
  commandLifeSeconds,
  commandSchema,
  signCommand,
  startBodySchema,
  verifyCommand,
} from "./command.ts";
import { commandKey, newNonce, newOperationId, newPlacementId } from "./ids.ts";
import { createKeyPair } from "./keys.ts";
import { signReceipt } from "./receipt.ts";
import { receiptFor } from "./fixtures/sample-receipt.ts";

const { privateKey, publicKey } = await createKeyPair();
const placement = newPlacementId();
const operation = newOperationId();
const run = { placement, instance: "1a", counter: 1 };
const key = commandKey({ operation, step: "stop", attempt: 1, run });
const stop: Command = { kind: "stop", key, operation, run, deadlineMs: 5_000 };
const now = new Date("2026-03-01T12:00:00Z");
const issuedAt = now.getTime() / 1_000;

const sign = (more: Partial<Parameters<typeof signCommand>[0]> = {}) =>
  signCommand({ key: privateKey, placement, epoch: 3, command: stop, now, ...more });
const verify = (token: string, secondsLater = 0, at = placement) =>
  verifyCommand({
    key: publicKey,
    placement: at,
    token,
    now: new Date(now.getTime() + secondsLater * 1_000),
  });

/** A token as the orchestrator's key would sign it, with other claims or another header. */
const forge = (claims: object = {}, header: object = {}) =>
  new SignJWT({
    iss: "baton",
    aud: placement,
    jti: newNonce(),
    iat: issuedAt,
    exp: issuedAt + commandLifeSeconds,
    epoch: 3,
    command: stop,
    ...claims,
  })
    .setProtectedHeader({ alg: "EdDSA", typ: "baton-command+jwt", ...header })
    .sign(privateKey);

describe("a command token", () => {
  it.each<Command>([
    stop,
    { kind: "start", key, operation, grant: newNonce(), deadlineMs: 1, bodySha256: bodySha256("{}") },
    { kind: "burn", key, operation, grant: newNonce() },
    { kind: "keys", run, bodySha256: bodySha256("{}") },
    { kind: "withdraw", key, operation },
    { kind: "open", operation, run },
    { kind: "read" },
  ])("brings $kind to its placement", async (command) => {
    const verified = await verify(await sign({ command }));
    expect(verified).toEqual({
      command,
      epoch: 3,
      term: 0,
      nonce: expect.stringMatching(/^[0-9a-f]{32}$/),
      expiresAt: issuedAt + commandLifeSeconds + commandClockToleranceSeconds,
    });
  });

  it("is what the forgeries below are made from", async () => {
    await expect(verify(await forge())).resolves.toMatchObject({ command: stop });
  });

  it("is signed and verified at the present time unless told otherwise", async () => {
    const token = await signCommand({ key: privateKey, placement, epoch: 0, command: { kind: "read" } });
    await expect(verifyCommand({ key: publicKey, placement, token })).resolves.toMatchObject({ epoch: 0 });
  });

  it("has a nonce of its own unless one is given", async () => {
    const tokens = await Promise.all(Array.from({ length: 50 }, () => sign()));
    const nonces = await Promise.all(tokens.map(async (token) => (await verify(token)).nonce));
    expect(new Set(nonces).size).toBe(50);
    await expect(verify(await sign({ nonce: "0123456789abcdef" }))).resolves.toMatchObject({
      nonce: "0123456789abcdef",
    });
  });

  it("lives exactly until its expiresAt, so that a forgotten nonce cannot come back", async () => {
    const token = await sign();
    const { expiresAt } = await verify(token);
    const left = expiresAt - issuedAt;
    await expect(verify(token, left - 1)).resolves.toMatchObject({ expiresAt });
    await expect(verify(token, left)).rejects.toMatchObject({ code: "token-expired" });
  });

  it("is refused when it is too old, whatever it says about its end", async () => {
    const token = await forge({ exp: issuedAt + 86_400 });
    await expect(verify(token, 39)).resolves.toMatchObject({ command: stop });
    await expect(verify(token, 41)).rejects.toMatchObject({ code: "token-expired" });
  });

  it("is refused when it comes from the future, and says that a clock is wrong", async () => {
    const token = await sign();
    await expect(verify(token, -10)).resolves.toMatchObject({ command: stop });
    await expect(verify(token, -11)).rejects.toMatchObject({
      code: "unauthenticated",
      message: expect.stringContaining("clocks"),
    });
  });

  it("is refused by another placement", async () => {
    await expect(verify(await sign(), 0, newPlacementId())).rejects.toMatchObject({ code: "token-foreign" });
  });

  it("is refused when another key has signed it", async () => {
    const stranger = await createKeyPair();
    await expect(verify(await sign({ key: stranger.privateKey }))).rejects.toMatchObject({
      code: "unauthenticated",
    });
  });

  it("is refused without a signature", async () => {
    const none = new UnsecuredJWT({ epoch: 3, command: stop, jti: newNonce() })
      .setIssuer("baton")
      .setAudience(placement)
      .setIssuedAt(issuedAt)
      .setExpirationTime(issuedAt + 30)
      .encode();
    const [, payload] = (await sign()).split(".");
    const header = Buffer.from('{"alg":"none","typ":"baton-command+jwt"}').toString("base64url");
    for (const token of [none, `${header}.${payload}.`])
      await expect(verify(token)).rejects.toMatchObject({ code: "unauthenticated" });
  });

  it.each([
    ["its bytes", Buffer.from(publicKey.x, "base64url")],
    ["its text", Buffer.from(publicKey.x)],
    ["its JSON", Buffer.from(JSON.stringify(publicKey))],
  ])("is refused when the public key was used as a shared secret: %s", async (_, secret) => {
    const token = await new SignJWT({ epoch: 3, command: stop, jti: newNonce() })
      .setProtectedHeader({ alg: "HS256", typ: "baton-command+jwt" })
      .setIssuer("baton")
      .setAudience(placement)
      .setIssuedAt(issuedAt)
      .setExpirationTime(issuedAt + 30)
      .sign(secret);
    await expect(verify(token)).rejects.toMatchObject({ code: "unauthenticated" });
  });

  it.each([{ typ: "JWT" }, { typ: undefined }, { typ: "baton-receipt+json" }])(
    "is refused as another type: %o",
    async (header) => {
      await expect(verify(await forge({}, header))).rejects.toMatchObject({ code: "unauthenticated" });
    },
  );

  it("is refused when it is a receipt", async () => {
    const receipt = await signReceipt(receiptFor(placement), privateKey);
    await expect(verify(receipt)).rejects.toMatchObject({ code: "unauthenticated" });
  });

  it.each<[string, object]>([
    ["another issuer", { iss: "somebody" }],
    ["no issuer", { iss: undefined }],
    ["no nonce", { jti: undefined }],
    ["a short nonce", { jti: "abc" }],
    ["no end", { exp: undefined }],
    ["an end that is no number", { exp: "soon" }],
    ["no beginning", { iat: undefined }],
    ["more than one audience", { aud: [placement, newPlacementId()] }],
    ["no epoch", { epoch: undefined }],
    ["an epoch below zero", { epoch: -1 }],
    ["an epoch as text", { epoch: "3" }],
    ["no command", { command: undefined }],
    ["an unknown command", { command: { kind: "erase" } }],
    ["a command with a field too many", { command: { ...stop, force: true } }],
    ["a stop without a run", { command: { ...stop, run: null } }],
    ["a deadline of more than an hour", { command: { ...stop, deadlineMs: 3_600_001 } }],
  ])("is refused with %s", async (_, claims) => {
    await expect(verify(await forge(claims))).rejects.toMatchObject({ code: "unauthenticated" });
  });

  it("is another placement's when it names none", async () => {
    await expect(verify(await forge({ aud: undefined }))).rejects.toMatchObject({ code: "token-foreign" });
  });

  it("is refused when its content was replaced", async () => {
    const [header, payload, signature] = (await sign()).split(".");
    const claims = JSON.parse(Buffer.from(payload ?? "", "base64url").toString());
    const other = Buffer.from(JSON.stringify({ ...claims, epoch: 4 })).toString("base64url");
    await expect(verify(`${header}.${other}.${signature}`)).rejects.toMatchObject({
      code: "unauthenticated",
    });
  });

  it("is refused after the change of any one character", async () => {
    const token = await sign();
    await fc.assert(
      // The last character has bits that belong to no byte.
      fc.asyncProperty(fc.nat(token.length - 2), async (at) => {
        const changed = token.charAt(at) === "A" ? "B" : "A";
        await expect(verify(token.slice(0, at) + changed + token.slice(at + 1))).rejects.toMatchObject({
          name: "AppError",
          code: "unauthenticated",
        });
      }),
      { numRuns: 60 },
    );
  });

  it("is refused as any other text, with one code", async () => {
    await fc.assert(
      fc.asyncProperty(fc.string(), async (token) => {
        await expect(verify(token)).rejects.toMatchObject({ code: "unauthenticated" });
      }),
      { numRuns: 60 },
    );
  });

  it("is not made from a command of the wrong shape, and the error does not say what was in it", async () => {
    const command = { ...stop, run: "hunter2" } as unknown as Command;
    const error = await sign({ command }).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: "internal", message: expect.stringContaining('"run"') });
    expect(String(error)).not.toContain("hunter2");
  });
});

describe("a body", () => {
  it("matches the hash of itself and of nothing else", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (body, other) => {
        expect(() => assertBodyMatches(body, bodySha256(body))).not.toThrow();
        fc.pre(body !== other);
        expect(() => assertBodyMatches(body, bodySha256(other))).toThrow(
          expect.objectContaining({ code: "unauthenticated" }),
        );
      }),
    );
  });

  it("is hashed as UTF-8", () => {
    expect(bodySha256("abc")).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect(bodySha256("ü")).toBe(bodySha256(Buffer.from([0xc3, 0xbc]).toString()));
  });

  it("has a hash of one shape, which is the only one that a command may carry", () => {
    const start = { kind: "start", key, operation, grant: "g", deadlineMs: 1 };
    const accepts = (hash: string) => v.is(commandSchema, { ...start, bodySha256: hash });
    fc.assert(fc.property(fc.string(), (body) => accepts(bodySha256(body))));
    for (const hash of ["", "0".repeat(63), "0".repeat(65), "G".repeat(64), "A".repeat(64)])
      expect(accepts(hash)).toBe(false);
  });

  it("of a start holds text variables only", () => {
    expect(v.is(startBodySchema, { environment: { KEY: "value" } })).toBe(true);
    expect(v.is(startBodySchema, { environment: { KEY: 1 } })).toBe(false);
    expect(v.is(startBodySchema, {})).toBe(false);
    const dataKey = { accessKeyId: "AK", secretAccessKey: "secret" };
    expect(v.is(startBodySchema, { environment: {}, key: dataKey })).toBe(true);
    expect(v.is(startBodySchema, { environment: {}, key: "secret" })).toBe(false);
  });
});
