import type { AgentConfig } from "@baton/protocol";

/** Where the application's store is, for the proof that nothing is on its way to it any more. Null: none is configured. */
export function storeAddress(
  storage: AgentConfig["storage"],
): { readonly host: string; readonly port: number } | null {
  const url = storage === null ? null : URL.parse((storage.application ?? storage).endpoint);
  if (url === null) return null;
  const port = url.port === "" ? (url.protocol === "https:" ? 443 : 80) : Number(url.port);
  return { host: url.hostname.replace(/^\[|\]$/g, ""), port };
}
