import { X509Certificate, createPrivateKey } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type AgentConfig, AppError } from "@baton/protocol";
import { errorCode } from "./durable-file.ts";

type KrakeConfig = NonNullable<AgentConfig["krake"]>;

/** How a Krake's API is told that the application has stopped. Holds secrets: it goes nowhere but into the request. */
export interface KrakeCredentials {
  /** As Krake injected it: the target is used to the letter. */
  readonly url: string;
  readonly token: string;
  /** PEM texts; null for plain HTTP, and where Krake mounted none: then the system's authorities verify the server. */
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string } | null;
}

/**
 * What Krake injected: address and token by the variables that the configuration names, certificates from the first of its directories
 * that is there.
 *
 * @throws AppError `invalid-configuration` (a variable is missing, or no address) or `secret-unavailable` (a file is missing, or none of its
 * kind); never with a value
 */
export function readKrakeCredentials(
  config: KrakeConfig,
  environment: Readonly<Record<string, string | undefined>>,
): KrakeCredentials {
  const { urlVariable, tokenVariables, certificateDirectories } = config;
  const url = environment[urlVariable] ?? "";
  const token = tokenVariables.map((name) => environment[name]).find((value) => value) ?? "";
  const wrong = (why: string): AppError =>
    new AppError("invalid-configuration", `cannot answer to a Krake: ${why}`);
  if (url === "" || token === "")
    throw wrong(
      `${url === "" ? urlVariable : tokenVariables.join(" or ")} is not set; Krake injects it where spec.hooks holds "shutdown"`,
    );
  if (!/^https?:\/\/[^/?#@\s]+([/?#][!-~]*)?$/i.test(url) || URL.parse(url) === null)
    throw wrong(`${urlVariable} holds no http or https address`);
  const directory = certificateDirectories.find((path) => existsSync(path));
  const needsTls = /^https:/i.test(url) && directory !== undefined;
  return { url, token, tls: needsTls ? readCertificates(directory) : null };
}

/** Krake mounts the leaf alone, and its server knows only the root: the client has to send what is between them. */
function readCertificates(directory: string): NonNullable<KrakeCredentials["tls"]> {
  const [ca, leaf, key] = ["ca-bundle.pem", "cert.pem", "key.pem"].map((name) => {
    try {
      return readFileSync(join(directory, name), "utf8");
    } catch (error) {
      throw unusable(join(directory, name), `cannot be read (${errorCode(error) ?? "unknown reason"})`);
    }
  }) as [string, string, string];
  const path = join(directory, "cert.pem");
  const certificate = readPem(leaf, path)[0];
  const authorities = readPem(ca, join(directory, "ca-bundle.pem"));
  if (certificate === undefined) throw unusable(path, "holds no certificate");
  if (!isKeyOf(key, certificate)) throw unusable(join(directory, "key.pem"), "is not the key of cert.pem");
  return { ca, cert: [certificate, ...issuersOf(certificate, authorities)].join(""), key };
}

const unusable = (path: string, why: string): AppError =>
  new AppError("secret-unavailable", `cannot answer to a Krake: ${path} ${why}`);

function readPem(text: string, path: string): X509Certificate[] {
  try {
    const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
    return blocks.map((block) => new X509Certificate(block));
  } catch {
    throw unusable(path, "holds something that is no certificate");
  }
}

function isKeyOf(key: string, certificate: X509Certificate): boolean {
  try {
    return certificate.checkPrivateKey(createPrivateKey(key));
  } catch {
    // Also what is no key at all; the parser's words may quote it.
    return false;
  }
}

/** From the leaf's issuer up, without the root. */
function issuersOf(leaf: X509Certificate, authorities: readonly X509Certificate[]): X509Certificate[] {
  const chain: X509Certificate[] = [];
  for (let at = leaf; chain.length < authorities.length;) {
    const issuer = authorities.find(({ subject }) => subject === at.issuer);
    if (issuer === undefined || issuer.subject === issuer.issuer) break;
    chain.push(issuer);
    at = issuer;
  }
  return chain;
}
