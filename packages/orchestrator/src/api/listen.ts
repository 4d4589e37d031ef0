import { type AddressInfo, isIP } from "node:net";
import { serve } from "@hono/node-server";
import { AppError } from "@baton/protocol";
import { type AppDeps, createApp } from "./create-app.ts";

export interface Listener {
  readonly url: string;
  close(): Promise<void>;
}

/** Takes the address before anything else is there, since agents are told it; until `deps` are, every request is answered with 503. */
export async function listen(
  { host, port }: { readonly host: string; readonly port: number },
  deps: () => AppDeps | undefined,
): Promise<Listener> {
  let app: ReturnType<typeof createApp> | undefined;
  const { promise, resolve, reject } = Promise.withResolvers<AddressInfo>();
  const server = serve(
    {
      hostname: host,
      port,
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
    const shown = isIP(host) === 6 ? `[${host}]` : host;
    return {
      url: `http://${shown}:${address.port}`,
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
