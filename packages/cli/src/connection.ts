import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { AppError } from "@baton/protocol";
import { type BatonClient, createBatonClient } from "./client.ts";

export interface ConnectionOptions {
  readonly url?: string | undefined;
  /** Of who certified it; undefined: whom Node knows. */
  readonly caFile?: string | undefined;
  readonly tokenFile?: string | undefined;
  /** From the environment; a file that is named goes first. */
  readonly token?: string | undefined;
  readonly stateDirectory: string;
}

/** A client of the orchestrator that the options name, or of the one that wrote the state directory. */
export async function connect(options: ConnectionOptions): Promise<BatonClient> {
  const address = await findAddress(options);
  return createBatonClient({
    url: address,
    ca: await readCa(options.caFile),
    token: await readToken(options),
  });
}

/** The same without a token: for what anybody may ask. */
export async function connectAsAnybody(options: ConnectionOptions): Promise<BatonClient> {
  const address = await findAddress(options);
  return createBatonClient({ url: address, ca: await readCa(options.caFile), token: undefined });
}

async function findAddress({ url, stateDirectory }: ConnectionOptions): Promise<string> {
  const urlFile = join(stateDirectory, "url");
  const address = url ?? (await readLine(urlFile, "the orchestrator's address", "--url or BATON_URL"));
  if (!URL.canParse(address) || !/^https?:$/.test(new URL(address).protocol))
    throw new AppError("invalid-configuration", `cannot use ${address}: it is not an http or https URL`);
  return address;
}

async function readCa(file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return undefined;
  try {
    const text = await readFile(file, "utf8");
    // The TLS library would pass over what it cannot read, and then trust nobody.
    if (new X509Certificate(text).subject !== undefined) return text;
  } catch (cause) {
    throw new AppError(
      "invalid-configuration",
      `cannot trust ${file}: it is no file that can be read with a certificate in PEM form; give another --ca-file or BATON_CA_FILE`,
      { cause },
    );
  }
  return undefined;
}

async function readToken({ tokenFile, token, stateDirectory }: ConnectionOptions): Promise<string> {
  if (tokenFile !== undefined)
    return readLine(tokenFile, "the token", "another --token-file or BATON_TOKEN_FILE");
  if (token === undefined)
    return readLine(
      join(stateDirectory, "admin-token"),
      "the admin token",
      "--token-file or BATON_TOKEN_FILE",
    );
  if (isWord(token)) return token;
  throw new AppError("invalid-configuration", "cannot use BATON_TOKEN: it is not one printable word");
}

/** What can stand in a header. */
const isWord = (text: string): boolean => /^[\x21-\x7e]+$/.test(text);

async function readLine(file: string, what: string, option: string): Promise<string> {
  try {
    const text = (await readFile(file, "utf8")).trim();
    if (isWord(text)) return text;
  } catch (cause) {
    const missing = cause instanceof Error && "code" in cause && cause.code === "ENOENT";
    throw new AppError(
      "invalid-configuration",
      `cannot read ${what} from ${file}: ${missing ? "there is no such file" : "it is not readable"}; start an orchestrator with \`baton up\`, or give ${option}`,
      { cause },
    );
  }
  throw new AppError(
    "invalid-configuration",
    `cannot read ${what} from ${file}: it is not one printable word`,
  );
}
