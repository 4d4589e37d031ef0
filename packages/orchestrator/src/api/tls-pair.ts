import { X509Certificate, createPrivateKey } from "node:crypto";
import { readFile } from "node:fs/promises";
import { AppError } from "@baton/protocol";
import type { TlsFiles } from "../config.ts";

/** PEM texts that belong together. */
export interface TlsPair {
  readonly cert: string;
  readonly key: string;
}

/** @throws AppError `invalid-configuration` that names the file; never with what it holds */
export async function readTlsPair(files: TlsFiles): Promise<TlsPair> {
  const [cert, key] = await Promise.all([read(files.certificate), read(files.key)]);
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(cert);
  } catch {
    throw wrong(files.certificate, "holds no certificate in PEM form");
  }
  let isPair: boolean;
  try {
    isPair = certificate.checkPrivateKey(createPrivateKey(key));
  } catch {
    // The parser's words may quote it.
    throw wrong(files.key, "holds no private key in PEM form, or one with a passphrase");
  }
  if (!isPair) throw wrong(files.key, `is not the key of ${files.certificate}`);
  return { cert, key };
}

async function read(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown reason";
    throw wrong(path, `cannot be read (${code})`);
  }
}

const wrong = (path: string, why: string): AppError =>
  new AppError("invalid-configuration", `cannot speak TLS: ${path} ${why}`);
