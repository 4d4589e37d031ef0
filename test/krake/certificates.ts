import { type KeyObject, generateKeyPair, randomBytes, sign } from "node:crypto";
import { promisify } from "node:util";
import * as der from "./der.ts";

/** PEM texts. */
export interface Credential {
  readonly cert: string;
  readonly key: string;
}

export interface KrakeAuthority {
  readonly root: string;
  readonly intermediate: string;
  /** For 127.0.0.1 and localhost, by the root. */
  readonly server: Credential;
  /**
   * As Krake makes one for an application's hook: RSA 2048, SHA-256, one year, by the intermediate, without extensions, and with the version
   * field 3 ("X.509 v4", which does not exist). `version: 2` gives a correct one.
   */
  issue(commonName: string, options?: { readonly version?: 2 | 3 }): Promise<Credential>;
  /** Of the same look, by an intermediate of somebody else's. */
  issueForeign(commonName: string): Promise<Credential>;
}

interface Party {
  readonly name: Buffer;
  readonly keys: { readonly publicKey: KeyObject; readonly privateKey: KeyObject };
}

const newKeys = promisify(generateKeyPair);
const sha256WithRsa = der.sequence(der.objectId("1.2.840.113549.1.1.11"), der.nothing);
const dayMs = 86_400_000;

/** Made by node:crypto and DER by hand: openssl cannot make the version that Krake's certificates have. */
export async function createAuthority(): Promise<KrakeAuthority> {
  const root = await newParty("krake-ca");
  const intermediate = await newParty("krake-hook-ca");
  const server = await newParty("krake-api");
  const isAuthority = [extension("2.5.29.19", der.sequence(der.boolean(true)))];
  const addresses = der.sequence(
    der.tagged(2, Buffer.from("localhost"), true),
    der.tagged(7, Buffer.from([127, 0, 0, 1]), true),
  );
  const issueBy = async (issuer: Party, commonName: string, version: number): Promise<Credential> => {
    const subject = await newParty(commonName);
    return { cert: certify(subject, issuer, { version }), key: pemOf(subject) };
  };
  return {
    root: certify(root, root, { extensions: isAuthority }),
    intermediate: certify(intermediate, root, { extensions: isAuthority }),
    server: {
      cert: certify(server, root, { extensions: [extension("2.5.29.17", addresses)] }),
      key: pemOf(server),
    },
    issue: (commonName, { version = 3 } = {}) => issueBy(intermediate, commonName, version),
    issueForeign: async (commonName) => issueBy(await newParty("other-hook-ca"), commonName, 3),
  };
}

async function newParty(commonName: string): Promise<Party> {
  const attribute = (type: string, value: string): Buffer =>
    der.set(der.sequence(der.objectId(type), der.utf8(value)));
  return {
    name: der.sequence(attribute("2.5.4.10", "Krake"), attribute("2.5.4.3", commonName)),
    keys: await newKeys("rsa", { modulusLength: 2048 }),
  };
}

function certify(
  subject: Party,
  issuer: Party,
  { version = 2, extensions = [] }: { readonly version?: number; readonly extensions?: readonly Buffer[] },
): string {
  const now = Date.now();
  const content = der.sequence(
    der.tagged(0, der.integer(version)),
    der.integer(randomBytes(16)),
    sha256WithRsa,
    issuer.name,
    der.sequence(der.utcTime(new Date(now - dayMs)), der.utcTime(new Date(now + 365 * dayMs))),
    subject.name,
    subject.keys.publicKey.export({ type: "spki", format: "der" }),
    ...(extensions.length === 0 ? [] : [der.tagged(3, der.sequence(...extensions))]),
  );
  const signature = sign("sha256", content, issuer.keys.privateKey);
  const bytes = der.sequence(content, sha256WithRsa, der.bits(signature));
  const lines = bytes.toString("base64").match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
}

const extension = (type: string, content: Buffer): Buffer =>
  der.sequence(der.objectId(type), der.boolean(true), der.octets(content));

const pemOf = ({ keys }: Party): string =>
  keys.privateKey.export({ type: "pkcs8", format: "pem" }).toString();
