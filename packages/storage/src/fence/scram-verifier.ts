import { createHash, createHmac, pbkdf2, randomBytes } from "node:crypto";
import { promisify } from "node:util";

const iterations = 4_096;

/**
 * What a PostgreSQL server keeps of a password of ASCII letters and digits; sent in the password's place, so that no log of statements holds one.
 *
 * @see https://www.rfc-editor.org/rfc/rfc5803
 */
export async function scramVerifier(password: string, salt = randomBytes(16)): Promise<string> {
  const salted = await promisify(pbkdf2)(password, salt, iterations, 32, "sha256");
  const keyOf = (name: string): Buffer => createHmac("sha256", salted).update(name).digest();
  const stored = createHash("sha256").update(keyOf("Client Key")).digest();
  return written(salt, stored, keyOf("Server Key"));
}

/** Of a password that nobody can know: its keys are no password's. */
export const noPassword = (): string => written(randomBytes(16), randomBytes(32), randomBytes(32));

const written = (salt: Buffer, stored: Buffer, server: Buffer): string =>
  `SCRAM-SHA-256$${iterations}:${salt.toString("base64")}$${stored.toString("base64")}:${server.toString("base64")}`;
