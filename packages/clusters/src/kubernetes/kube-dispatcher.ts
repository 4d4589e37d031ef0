import { forwardedTokenHeader } from "@baton/protocol";
import type { RequestContext } from "@kubernetes/client-node";
import { Agent, Dispatcher } from "undici";
import type { KubeIdentity } from "./kube-identity.ts";

/**
 * Sends what goes to the API server with our credential there, over a connection of its own, and everything else as it is. The API server takes
 * `authorization` for itself, so that the agent's token travels in another header.
 */
export class KubeDispatcher extends Dispatcher {
  readonly #identify: (what: string) => Promise<KubeIdentity>;

  constructor(identify: (what: string) => Promise<KubeIdentity>) {
    super();
    this.#identify = identify;
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    this.#send(options, handler).catch((error: unknown) =>
      // No request was begun that it could control.
      handler.onResponseError?.(undefined as never, error as Error),
    );
    return true;
  }

  async #send(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): Promise<void> {
    const { server, config } = await this.#identify("reach an agent");
    const isThere = `${String(options.origin)}${options.path}`.startsWith(`${server}/`);
    const { headers, dispatcher = new Agent({ pipelining: 0 }) } = isThere
      ? await credentialFor(config)
      : { headers: {} };
    const { authorization, ...given } = Object.fromEntries(Object.entries(options.headers ?? {})) as Record<
      string,
      string
    >;
    const token = authorization !== undefined && {
      [isThere ? forwardedTokenHeader : "authorization"]: authorization,
    };
    dispatcher.dispatch({ ...options, headers: { ...given, ...headers, ...token } }, handler);
    // Ends with the request, however that ends.
    void dispatcher.close();
  }
}

/** The library gives both to a request of its own. */
async function credentialFor(config: KubeIdentity["config"]) {
  const headers: Record<string, string> = {};
  let dispatcher: Dispatcher | undefined;
  await config.applySecurityAuthentication({
    setHeaderParam: (name: string, value: string) => void (headers[name.toLowerCase()] = value),
    setDispatcher: (made: Dispatcher) => void (dispatcher = made),
  } as unknown as RequestContext);
  return { headers, dispatcher };
}
