import { type FileHandle, open, rm } from "node:fs/promises";
import { AppError, type Role } from "@baton/protocol";
import { renderTokens } from "../view/access-lines.ts";
import { type CommandContext, type GlobalOptions, openSession } from "./session.ts";

export interface CreateTokenOptions extends GlobalOptions {
  readonly role: Role;
  /** In seconds. */
  readonly expires?: number;
  readonly save?: string;
}

/** The token is on stdout alone, so that it can be piped; with `save` it is in that file only. */
export async function createToken(
  context: CommandContext,
  name: string,
  options: CreateTokenOptions,
): Promise<void> {
  const { client, print, json } = await openSession(context, options);
  const { role, expires, save } = options;
  const request = { name, role, ...(expires === undefined ? {} : { expiresInS: expires }) };
  if (save === undefined) {
    const created = await client.createToken(request, context.signal);
    print(created, () => [created.token]);
    if (!json) context.stderr.write(`this is the token of ${name}; it cannot be shown again\n`);
    return;
  }
  // There before the token is: what could not be written would be lost.
  const file = await createSecretFile(save);
  try {
    const { token, ...view } = await client.createToken(request, context.signal);
    await write(file, `${token}\n`).catch(async (cause: unknown) => {
      await client.revokeToken(name);
      throw new AppError("internal", `cannot write the token to ${save}: it was revoked again`, { cause });
    });
    print(view, () => [`the token of ${name} is in ${save}`]);
  } catch (error) {
    await rm(save, { force: true });
    throw error;
  } finally {
    await file.close();
  }
}

/** For its owner alone, from its first moment on; never one that is there already. */
async function createSecretFile(path: string): Promise<FileHandle> {
  try {
    return await open(path, "wx", 0o600);
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
    const why = code === "EEXIST" ? "there is such a file already" : `it cannot be made (${code})`;
    throw new AppError(
      "invalid-request",
      `cannot write the token to ${path}: ${why}; choose another file; no token was created`,
      { cause },
    );
  }
}

async function write(file: FileHandle, text: string): Promise<void> {
  await file.writeFile(text);
  await file.sync();
}

export async function listTokens(context: CommandContext, options: GlobalOptions): Promise<void> {
  const { client, print, json } = await openSession(context, options);
  const tokens = await client.tokens(context.signal);
  if (json) for (const token of tokens) print(token, () => []);
  else print(tokens, () => renderTokens(tokens));
}

export async function revokeToken(
  context: CommandContext,
  name: string,
  options: GlobalOptions,
): Promise<void> {
  const { client, print } = await openSession(context, options);
  await client.revokeToken(name, context.signal);
  print({ revoked: name }, () => [`token ${name} revoked`]);
}
