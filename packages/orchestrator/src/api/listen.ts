import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, isIP } from "node:net";
import type { SecureContextOptions } from "node:tls";
import { serve } from "@hono/node-server";
import { AppError } from "@baton/protocol";
import type { ListenSettings } from "../config.ts";
import { isEveryAddress } from "./assert-listening.ts";
import { type AppDeps, createApp } from "./create-app.ts";
import { type TlsPair, readTlsPair } from "./tls-pair.ts";

export interface Listener {
  /** As this machine reaches it. */
  readonly url: string;
  /** Takes a certificate that has been replaced; connections that are open keep theirs. @throws `invalid-configuration`, and the one before stays */
  renew(): Promise<void>;
  close(): Promise<void>;
}

const handshakeMs = 10_000;

/** Takes the address before anything else is there, since agents are told it; until `deps` are, every request is answered with 503. */
export async function listen(
  { host, port, tls }: ListenSettings,
  deps: () => AppDeps | undefined,
): Promise<Listener> {
  let pair = tls === undefined ? undefined : await readTlsPair(tls);
  let app: ReturnType<typeof createApp> | undefined;
  const { promise, resolve, reject } = Promise.withResolvers<AddressInfo>();
  const server = serve(
    {
      hostname: host,
      port,
      ...(pair !== undefined && {
        createServer: createTlsServer,
        serverOptions: { ...secure(pair), handshakeTimeout: handshakeMs },
      }),
      fetch: (request: Request) => {
        const ready = deps();
        if (ready === undefined) return new Response(null, { status: 503, headers: { "retry-after": "1" } });
        app ??= createApp(ready);
        return app.fetch(request);
      },
    },
    resolve,
  );
  server.on("error", reject);
  try {
    const address = await promise;
    return {
      url: `${pair === undefined ? "http" : "https"}://${shown(host)}:${address.port}`,
      async renew() {
        if (tls === undefined || pair === undefined || !("setSecureContext" in server)) return;
        const found = await readTlsPair(tls);
        if (found.cert === pair.cert && found.key === pair.key) return;
        server.setSecureContext(secure(found));
        pair = found;
      },
      close: async () => {
        const closed = Promise.withResolvers<void>();
        server.close(() => closed.resolve());
        if ("closeAllConnections" in server) server.closeAllConnections();
        await closed.promise;
      },
    };
  } catch (error) {
    throw new AppError(
      "invalid-configuration",
      `cannot listen on ${host}:${port}: the port is taken or the address is not ours`,
      { cause: error },
    );
  }
}

const secure = (pair: TlsPair): SecureContextOptions => ({ ...pair, minVersion: "TLSv1.2" });

function shown(host: string): string {
  if (isEveryAddress(host)) return host === "::" ? "[::1]" : "127.0.0.1";
  return isIP(host) === 6 ? `[${host}]` : host;
}
