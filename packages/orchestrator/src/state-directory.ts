import { randomBytes } from "node:crypto";
import { chmod, mkdir, open, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { AppError, type PrivateKey, createKeyPair, parseAs, privateKeySchema } from "@baton/protocol";

/** The orchestrator's own secrets, each made at the first start and kept with mode 0600. */
export interface StateSecrets {
  readonly adminToken: string;
  /** Signs commands for agents. */
  readonly signingKey: PrivateKey;
}

export async function openStateDirectory(directory: string): Promise<StateSecrets> {
  try {
    await mkdir(directory, { recursive: true });
    const adminToken = await readOrCreate(
      join(directory, "admin-token"),
      () => `${randomBytes(32).toString("base64url")}\n`,
    );
    const keyFile = join(directory, "command-key.json");
    const key = await readOrCreate(
      keyFile,
      async () => `${JSON.stringify((await createKeyPair()).privateKey)}\n`,
    );
    return {
      adminToken: adminToken.trim(),
      signingKey: parseAs(privateKeySchema, parseJson(key), keyFile, "invalid-configuration"),
    };
  } catch (error) {
    if (error instanceof Error && "code" in error && (error.code === "EACCES" || error.code === "EROFS"))
      throw new AppError(
        "invalid-configuration",
        `cannot use the state directory ${directory}: it is not writable; choose another one`,
        { cause: error },
      );
    throw error;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function readOrCreate(path: string, create: () => string | Promise<string>): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
  }
  await writeFileDurably(path, await create());
  return readFile(path, "utf8");
}

/** Whole or not at all, also after a power cut. Mode 0600. */
export async function writeFileDurably(path: string, text: string): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  const file = await open(temporary, "w", 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await chmod(temporary, 0o600);
  await rename(temporary, path);
  const directory = await open(join(path, ".."), "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
