import { hkdfSync } from "node:crypto";
import type { PrivateKey } from "@baton/protocol";

/** The same for the same purpose, so that it need not be kept anywhere. Letters, digits, "-" and "_". */
export const deriveSecret = ({ d }: PrivateKey, purpose: string): string =>
  Buffer.from(hkdfSync("sha256", d, "", purpose, 30)).toString("base64url");
