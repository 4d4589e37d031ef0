import { expect, it } from "vitest";
import { digestOf, isToken, newToken } from "./token-digest.ts";

it("a token is 256 random bits that a scanner for secrets can find", () => {
  const tokens = Array.from({ length: 100 }, newToken);
  expect(new Set(tokens).size).toBe(tokens.length);
  for (const token of tokens) {
    expect(token.startsWith("baton_")).toBe(true);
    expect(Buffer.from(token.slice("baton_".length), "base64url")).toHaveLength(32);
    expect(isToken(token)).toBe(true);
  }
});

it.each(["", "baton_", "the-admin-token"])("what is no token is told from one: %j", (text) =>
  expect(isToken(text)).toBe(false),
);

it.each([
  ["a character more", (token: string) => `${token}x`],
  ["a character less", (token: string) => token.slice(0, -1)],
  ["a character that is none of its alphabet", (token: string) => `${token.slice(0, -1)}+`],
  ["a line below", (token: string) => `${token}\n`],
  ["another word before it", (token: string) => token.replace("baton_", "Baton_")],
])("a token with %s is none", (_, change) => expect(isToken(change(newToken()))).toBe(false));

it("its digest is SHA-256 (FIPS 180-4, the example of one block)", () =>
  expect(digestOf("abc").toString("hex")).toBe(
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
  ));
