import { readFile } from "node:fs/promises";
import {
  AppError,
  type SecretReference,
  accessKeySchema,
  databaseLoginSchema,
  parseAs,
  webhookSecretSchema,
} from "@baton/protocol";

/** A key pair. @see readSecret */
export const readAccessKey = (reference: SecretReference) =>
  readSecret(reference, accessKeySchema, "accessKeyId and secretAccessKey");

/** An administrator of a database. @see readSecret */
export const readDatabaseLogin = (reference: SecretReference) =>
  readSecret(reference, databaseLoginSchema, "user and password");

/** What signs webhooks. @see readSecret */
export const readWebhookSecret = async (reference: SecretReference): Promise<string> =>
  (await readSecret(reference, webhookSecretSchema, 'secret, as "whsec_" and 24 bytes or more in base64'))
    .secret;

/** Each time it is needed, so that a rotated file counts at once. @throws `secret-unavailable`, never with the content. */
async function readSecret<S extends Parameters<typeof parseAs>[0]>(
  { file }: SecretReference,
  schema: S,
  fields: string,
) {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    throw unavailable(file, whyUnreadable[code] ?? `it cannot be read (${code})`);
  }
  try {
    return parseAs(schema, JSON.parse(text), "the secret");
  } catch {
    // JSON.parse quotes what it read: its error may not travel along, as text or as cause.
    throw unavailable(file, `it must be JSON of exactly ${fields}`);
  }
}

const whyUnreadable: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file; create it or correct the manifest",
  EACCES: "it may not be read; allow the orchestrator's user to read it",
  EISDIR: "it is a directory; name a file",
};

const unavailable = (file: string, why: string): AppError =>
  new AppError("secret-unavailable", `cannot read the secret ${file}: ${why}`);
