import { createHash, randomBytes } from "node:crypto";

const prefix = "baton_";
const form = /^baton_[A-Za-z0-9_-]{43}$/;

/** 256 random bits; the word before them lets scanners for secrets find one that was left lying about. */
export const newToken = (): string => prefix + randomBytes(32).toString("base64url");

/** Whether it could be one of ours at all: for what could not, nobody has to look. */
export const isToken = (text: string): boolean => form.test(text);

/**
 * What is kept of a token. A slow, salted hash protects secrets that can be guessed; 256 random bits cannot, so a fast one gives nothing away, and
 * costs nothing with every request. Tokens are compared by it only: how long that takes tells of the digest, which leads to no token.
 */
export const digestOf = (token: string): Buffer => createHash("sha256").update(token).digest();
