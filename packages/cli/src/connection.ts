import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { AppError } from "@baton/protocol";
import { type BatonClient, createBatonClient } from "./client.ts";

export interface ConnectionOptions {
  readonly url?: string | undefined;
  readonly tokenFile?: string | undefined;
  readonly stateDirectory: string;
}

/** A client of the orchestrator that the options name, or of the one that wrote the state directory. */
export async function connect({ url, tokenFile, stateDirectory }: ConnectionOptions): Promise<BatonClient> {
  const urlFile = join(stateDirectory, "url");
  const address = url ?? (await readLine(urlFile, "the orchestrator's address", "--url"));
  if (!URL.canParse(address) || !/^https?:$/.test(new URL(address).protocol))
    throw new AppError("invalid-configuration", `cannot use ${address}: it is not an http or https URL`);
  const token = await readLine(
    tokenFile ?? join(stateDirectory, "admin-token"),
    "the admin token",
    "--token-file",
  );
  return createBatonClient({ url: address, token });
}

async function readLine(file: string, what: string, option: string): Promise<string> {
  try {
    const text = (await readFile(file, "utf8")).trim();
    if (/^[\x21-\x7e]+$/.test(text)) return text;
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
