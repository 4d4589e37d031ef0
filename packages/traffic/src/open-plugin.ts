import type { SecretReference, TrafficPluginManifest } from "@baton/protocol";
import { openCommand } from "./command.ts";
import { openDns } from "./dns/dns.ts";
import type { TrafficPlugin } from "./traffic-plugin.port.ts";
import { openWebhook } from "./webhook.ts";

export function openTrafficPlugin(
  manifest: TrafficPluginManifest,
  readWebhookSecret: (reference: SecretReference) => Promise<string>,
): TrafficPlugin {
  switch (manifest.plugin) {
    case "webhook":
      return openWebhook(manifest, () => readWebhookSecret(manifest.secret));
    case "command":
      return openCommand(manifest);
    case "dns":
      return openDns(manifest);
  }
}
