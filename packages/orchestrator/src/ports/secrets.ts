import { readFile } from "node:fs/promises";
import { type AccessKey, AppError, type SecretReference, accessKeySchema } from "@baton/protocol";

/** Reads a key pair each time it is needed, so that a rotated file counts at once. @throws `secret-unavailable`, never with the content. */
export async function readAccessKey({ file }: SecretReference): Promise<AccessKey> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    throw unavailable(file, error instanceof Error && "code" in error ? String(error.code) : "unreadable");
  }
  try {
    return accessKeySchema.parse(JSON.parse(text));
  } catch {
    // Both errors quote what they read: neither may travel along, as text or as cause.
    throw unavailable(file, "it must be JSON of exactly accessKeyId and secretAccessKey");
  }
}

const unavailable = (file: string, why: string): AppError =>
  new AppError("secret-unavailable", `cannot read the secret ${file}: ${why}`);
