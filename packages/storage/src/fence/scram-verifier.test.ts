import { expect, it } from "vitest";
import { noPassword, scramVerifier } from "./scram-verifier.ts";

/** By PostgreSQL 15, of "create role x password 'pencil'". */
const kept =
  "SCRAM-SHA-256$4096:lLljEj12CcJVXzW/mIlp/w==$wjlRJ1zzrcpCqg7gy/HWji9xM+paU5TImfGo8pCZZ4U=:0nLpQekepE3DbX9akXX0aN7Cjj2f/wOMlyJ10jbt+JA=";

it("is what a server makes of the password", async () => {
  const [, salt = "", rest] = /^SCRAM-SHA-256\$4096:([^$]+)\$(.+)$/.exec(kept) ?? [];
  expect(await scramVerifier("pencil", Buffer.from(salt, "base64"))).toBe(kept);
  expect(await scramVerifier("pencil ", Buffer.from(salt, "base64"))).not.toContain(rest);
});

it("is another one each time", async () => {
  expect(await scramVerifier("a")).not.toBe(await scramVerifier("a"));
  expect(noPassword()).not.toBe(noPassword());
});
