import { readFile } from "node:fs/promises";
import { type AccessKey, AppError, type SecretReference, accessKeySchema, parseAs } from "@baton/protocol";

/** Reads a key pair each time it is needed, so that a rotated file counts at once. @throws `secret-unavailable`, never with the content. */
export async function readAccessKey(reference: SecretReference): Promise<AccessKey> {
  let value: unknown;
  try {
    value = JSON.parse(await readFile(reference.file, "utf8"));
  } catch (error) {
    const why =
      error instanceof SyntaxError
        ? "it is not JSON"
        : error instanceof Error && "code" in error
          ? String(error.code)
          : "unreadable";
    // A syntax error quotes what it read: it must not travel along as the cause.
    throw new AppError("secret-unavailable", `cannot read the secret ${reference.file}: ${why}`);
  }
  return parseAs(accessKeySchema, value, `the secret ${reference.file}`, "secret-unavailable");
}
