import { X509Certificate, createPrivateKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { type AgentConfig, AppError } from "@baton/protocol";
import { errorCode } from "./durable-file.ts";

/** PEM texts of the API's certificate, with what is between it and the authority, its key, and who its clients must be certified by. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
  readonly clientCa: string | null;
}

const wrong = (path: string, why: string): AppError =>
  new AppError("invalid-configuration", `cannot speak TLS: ${path} ${why}`);

/**
 * Reads and checks before anything is started: an agent that runs an application and cannot be told to stop it is worse than none.
 *
 * @throws AppError `invalid-configuration` that names the file; never with what it holds
 */
export function readTlsFiles(tls: NonNullable<AgentConfig["tls"]>): TlsFiles {
  const cert = read(tls.certificate);
  const key = read(tls.key);
  const clientCa = tls.clientCa === null ? null : read(tls.clientCa);
  const certificate = parse(cert, tls.certificate);
  if (clientCa !== null && tls.clientCa !== null) parse(clientCa, tls.clientCa);
  let isPair: boolean;
  try {
    isPair = certificate.checkPrivateKey(createPrivateKey(key));
  } catch {
    // The parser's words may quote it.
    throw wrong(tls.key, "holds no private key in PEM form, or one with a passphrase");
  }
  if (!isPair) throw wrong(tls.key, `is not the key of ${tls.certificate}`);
  return { cert, key, clientCa };
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw wrong(path, `cannot be read (${errorCode(error) ?? "unknown reason"})`);
  }
}

/** The first one of the file. */
function parse(text: string, path: string): X509Certificate {
  try {
    if (text.includes("-----BEGIN CERTIFICATE-----")) return new X509Certificate(text);
  } catch {
    // Below.
  }
  throw wrong(path, "holds no certificate in PEM form");
}
