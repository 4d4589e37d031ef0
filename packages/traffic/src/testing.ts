export { nameServerMeta, nameServerMissing, startNameServer } from "./fixtures/name-server.ts";
export type { NameServer } from "./fixtures/name-server.ts";
export { type WebhookReceiver, startWebhookReceiver } from "./fixtures/webhook-receiver.ts";
