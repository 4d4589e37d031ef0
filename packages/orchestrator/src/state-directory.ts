import { randomBytes } from "node:crypto";
import { link, mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { AppError, type PrivateKey, createKeyPair, parseAs, privateKeySchema } from "@baton/protocol";

/** The orchestrator's own secrets, each made at the first start and kept with mode 0600. */
export interface StateSecrets {
  readonly adminToken: string;
  /** Signs commands for agents. */
  readonly signingKey: PrivateKey;
}

/** Secrets that are kept elsewhere: replicas on several machines need the same ones. */
export interface SecretFiles {
  readonly adminTokenFile?: string | undefined;
  readonly commandKeyFile?: string | undefined;
}

/**
 * Makes what is missing, but never a file that was named; starts that come at once agree on one set.
 *
 * @throws `invalid-configuration`, never with a secret.
 */
export async function openStateDirectory(directory: string, files: SecretFiles = {}): Promise<StateSecrets> {
  const own = { token: join(directory, "admin-token"), key: join(directory, "command-key.json") };
  try {
    await mkdir(directory, { recursive: true });
    const token =
      files.adminTokenFile === undefined
        ? await readOrCreate(own.token, () => randomBytes(32).toString("base64url"))
        : await readSecret(files.adminTokenFile);
    const key =
      files.commandKeyFile === undefined
        ? await readOrCreate(own.key, async () => JSON.stringify((await createKeyPair()).privateKey))
        : await readSecret(files.commandKeyFile);
    return {
      adminToken: parseToken(files.adminTokenFile ?? own.token, token),
      signingKey: parseKey(files.commandKeyFile ?? own.key, key),
    };
  } catch (error) {
    if (!(error instanceof Error && "syscall" in error && "code" in error)) throw error;
    throw new AppError(
      "invalid-configuration",
      `cannot use the state directory ${directory}: it is not a directory that can be written (${String(error.code)}); choose another one`,
      { cause: error },
    );
  }
}

function parseToken(path: string, text: string): string {
  const token = text.trim();
  if (!/^\S{20,}$/.test(token)) throw damaged(path);
  return token;
}

function parseKey(path: string, text: string): PrivateKey {
  try {
    return parseAs(privateKeySchema, JSON.parse(text), "the key");
  } catch {
    throw damaged(path);
  }
}

const damaged = (path: string): AppError =>
  new AppError("invalid-configuration", `cannot use ${path}: it is damaged; put the original back`);

/** @throws `invalid-configuration`, never with a secret. */
export async function readSecret(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    throw new AppError(
      "invalid-configuration",
      `cannot read the secret ${path}: it is not a file that can be read (${code})`,
    );
  }
}

async function readOrCreate(path: string, create: () => string | Promise<string>): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (!hasCode(error, "ENOENT")) throw error;
  }
  const temporary = await writeTemporary(path, `${await create()}\n`);
  try {
    // Unlike a rename it fails when another start was faster: whose secret is read below is then its.
    await link(temporary, path);
  } catch (error) {
    if (!hasCode(error, "EEXIST")) throw error;
  } finally {
    await rm(temporary, { force: true });
  }
  await syncDirectory(dirname(path));
  return readFile(path, "utf8");
}

/** Whole or not at all, also after a power cut. Mode 0600. */
export async function writeFileDurably(path: string, text: string): Promise<void> {
  await rename(await writeTemporary(path, text), path);
  await syncDirectory(dirname(path));
}

/** A file beside `path` that nobody else writes. @returns its path. */
async function writeTemporary(path: string, text: string): Promise<string> {
  const temporary = `${path}.${randomBytes(6).toString("hex")}.tmp`;
  const file = await open(temporary, "wx", 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  return temporary;
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

const hasCode = (error: unknown, code: string): boolean =>
  error instanceof Error && "code" in error && error.code === code;
