import { createHmac } from "node:crypto";
import { type TrafficPluginManifest, trafficTarget } from "@baton/protocol";
import { Agent, request } from "undici";
import { tellingBody, tellingKey } from "./telling-body.ts";
import { cannotTell, whyEnded } from "./traffic-error.ts";
import type { TrafficPlugin } from "./traffic-plugin.port.ts";

/** Nobody reads the answer. */
const largestAnswerBytes = 65_536;

/**
 * Signed as https://www.standardwebhooks.com says; its `webhook-id` is the key that the same telling has each time. Any 2xx confirms; redirects are not
 * followed.
 *
 * @param readSecret anew each time, so that a rotated one counts at once
 */
export function openWebhook(
  manifest: Extract<TrafficPluginManifest, { plugin: "webhook" }>,
  readSecret: () => Promise<string>,
): TrafficPlugin {
  const target = trafficTarget(manifest);
  return {
    async check() {
      await readSecret();
    },
    async tell(telling, signal) {
      const secret = Buffer.from((await readSecret()).replace(/^whsec_/, ""), "base64");
      const body = tellingBody(telling);
      const id = tellingKey(telling);
      const timestamp = Math.floor(Date.now() / 1_000);
      const signature = createHmac("sha256", secret).update(`${id}.${timestamp}.${body}`).digest("base64");
      // Its own, so that no connection is left behind.
      const dispatcher = new Agent({ maxResponseSize: largestAnswerBytes });
      let status: number;
      try {
        const answer = await request(manifest.url, {
          method: "POST",
          headers: {
            "content-type": "application/json",
            "webhook-id": id,
            "webhook-timestamp": String(timestamp),
            "webhook-signature": `v1,${signature}`,
          },
          body,
          headersTimeout: manifest.timeoutMs,
          bodyTimeout: manifest.timeoutMs,
          signal,
          dispatcher,
        });
        status = answer.statusCode;
        await answer.body.dump({ limit: largestAnswerBytes, signal });
      } catch (error) {
        const code = error instanceof Error && "code" in error ? ` (${String(error.code)})` : "";
        throw cannotTell(
          target,
          "traffic-failed",
          whyEnded(signal) ?? `there was no answer${code}; see that it is up and reachable from here`,
          error,
        );
      } finally {
        await dispatcher.destroy();
      }
      if (status < 200 || status > 299)
        throw cannotTell(target, "traffic-failed", `it answered ${status}; see its own log`);
    },
  };
}
