/** The network between an application and its store: can be cut, and brings later what was under way, also after its sender's death. */
import { once } from "node:events";
import { type AddressInfo, type Socket, connect, createServer } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

/** Longer than a store takes to answer a whole request; one that is not whole gets no answer. */
const answerMs = 5_000;

export interface DelayingProxy {
  readonly endpoint: string;
  /** From now on nothing passes, in neither direction. */
  cut(): void;
  /** Brings everything that came meanwhile; resolves once the store is done with those whose sender is gone. */
  mend(): Promise<void>;
  close(): Promise<void>;
}

export async function openDelayingProxy(endpoint: string): Promise<DelayingProxy> {
  const { hostname, port } = new URL(endpoint);
  const pairs = new Set<{ readonly client: Socket; readonly store: Socket }>();
  let held: (() => void)[] | null = null;
  const pass = (act: () => void): void => void (held === null ? act() : held.push(act));

  const server = createServer((client) => {
    const store = connect({ host: hostname, port: Number(port) });
    const pair = { client, store };
    pairs.add(pair);
    client.once("close", () => store.destroyed && pairs.delete(pair));
    store.once("close", () => client.destroyed && pairs.delete(pair));
    for (const [from, to] of [
      [client, store],
      [store, client],
    ] as const) {
      from.on("error", () => undefined);
      from.on("data", (bytes) => pass(() => void to.write(bytes)));
      // The end of a dead sender's connection comes last of all: stores drop requests of which they see it.
      from.once("close", () => held === null && to.end());
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut: () => (held ??= []),
    async mend() {
      const acts = held ?? [];
      held = null;
      for (const act of acts) act();
      const orphans = [...pairs].filter(({ client, store }) => client.destroyed && !store.destroyed);
      for (const { client, store } of pairs) if (store.destroyed) client.destroy();
      await Promise.all(orphans.map(({ store }) => finish(store)));
    },
    async close() {
      for (const { client, store } of pairs) for (const socket of [client, store]) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

/** Gives the store time to answer what arrived, then ends the connection. */
async function finish(store: Socket): Promise<void> {
  // Not by `once`, which would throw: a store may long have reset the connection.
  const happens = (event: "data" | "close"): Promise<void> =>
    new Promise((resolve) => store.once(event, () => resolve()));
  const patience = (): Promise<void> => delay(answerMs, undefined, { ref: false });
  const closed = happens("close");
  await Promise.race([happens("data"), closed, patience()]);
  store.end();
  await Promise.race([closed, patience()]);
  store.destroy();
}
