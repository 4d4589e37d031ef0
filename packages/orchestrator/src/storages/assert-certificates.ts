import { X509Certificate } from "node:crypto";
import { AppError, type DatabaseManifest, type StorageManifest } from "@baton/protocol";

const block = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g;

/** The TLS library would pass over what it cannot read, and then trust nobody. @throws `invalid-manifest` naming the field. */
export function assertCertificates(manifest: StorageManifest | DatabaseManifest): void {
  const { kind, name, ca } = manifest;
  const clusters = manifest.kind === "storage" ? (manifest.clusters ?? {}) : {};
  const fields = [
    ["ca", ca],
    ...Object.entries(clusters).map(([cluster, own]) => [`clusters.${cluster}.ca`, own.ca]),
  ] as const;
  for (const [field = "", pem] of fields) {
    if (pem === undefined) continue;
    const blocks = pem.match(block) ?? [];
    if (blocks.length > 0 && blocks.every(isCertificate)) continue;
    throw new AppError(
      "invalid-manifest",
      `cannot apply ${kind} "${name}": "${field}" is no certificate in PEM, or was cut; give the whole text from BEGIN to END CERTIFICATE`,
    );
  }
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).subject !== undefined;
  } catch {
    return false;
  }
}
