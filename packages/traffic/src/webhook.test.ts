import { AppError, type TrafficPluginManifest } from "@baton/protocol";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type WebhookReceiver, startWebhookReceiver } from "./fixtures/webhook-receiver.ts";
import { telling, testTrafficPlugin } from "./traffic-plugin.testsuite.ts";
import { openWebhook } from "./webhook.ts";

const secret = `whsec_${Buffer.from("a secret of a test, of 32 bytes!").toString("base64")}`;
const manifestOf = (url: string): Extract<TrafficPluginManifest, { plugin: "webhook" }> => ({
  plugin: "webhook",
  url,
  secret: { file: "/secrets/webhook" },
  timeoutMs: 5_000,
});

testTrafficPlugin("a webhook", async () => {
  const receiver = await startWebhookReceiver();
  return {
    plugin: openWebhook(manifestOf(receiver.url), async () => secret),
    async leadsTo() {
      const url = receiver.taken.at(-1)?.url ?? null;
      return url === null ? null : new URL(url).hostname;
    },
    async silence() {
      receiver.answer = null;
    },
    async refuse() {
      receiver.answer = 503;
    },
    async resume() {
      receiver.answer = undefined;
    },
    close: () => receiver.close(),
  };
});

let receiver: WebhookReceiver;
beforeAll(async () => {
  receiver = await startWebhookReceiver();
});
afterAll(() => receiver.close());

const tell = (readSecret: () => Promise<string>, url = receiver.url): Promise<void> =>
  openWebhook(manifestOf(url), readSecret).tell(telling({}), AbortSignal.timeout(5_000));

it("says all that is to be known, once for each telling", async () => {
  await tell(async () => secret);
  await tell(async () => secret);
  const { placement, cluster, url } = telling({}).route ?? {};
  expect(receiver.taken).toEqual([
    { version: 1, application: "ledger", epoch: 1, revision: 1, placement, cluster, url, previous: null },
  ]);
});

it("is refused with another secret, which no error shows", async () => {
  const other = `whsec_${Buffer.from("hunter2 hunter2 hunter2 hunter2!").toString("base64")}`;
  const error = await tell(async () => other).catch((reason: unknown) => reason);
  expect(error).toMatchObject({
    code: "traffic-failed",
    message: `cannot tell webhook ${receiver.url} the route: it answered 401; see its own log`,
  });
  expect(JSON.stringify(error)).not.toContain("hunter2");
  expect(receiver.forged).toBe(1);
});

it("is not told without its secret", async () => {
  const missing = new AppError("secret-unavailable", "cannot read the secret /secrets/webhook: …");
  await expect(tell(() => Promise.reject(missing))).rejects.toBe(missing);
  await expect(
    openWebhook(manifestOf(receiver.url), () => Promise.reject(missing)).check(AbortSignal.timeout(1_000)),
  ).rejects.toBe(missing);
});

it.each([302, 404, 500])("%i is no confirmation", async (status) => {
  receiver.answer = status;
  await expect(tell(async () => secret)).rejects.toThrow(`it answered ${status}`);
  receiver.answer = undefined;
});

it("nobody there is no confirmation", () =>
  expect(tell(async () => secret, "http://127.0.0.1:1/")).rejects.toThrow(
    "there was no answer (ECONNREFUSED)",
  ));
