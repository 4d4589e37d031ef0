import { isDeepStrictEqual } from "node:util";
import { type TrafficPluginManifest, trafficTarget } from "@baton/protocol";
import type { ServedRoute } from "./traffic-plugin.port.ts";

/** What the records say of one application, in one look. */
export interface TrafficState {
  /** Of the placement that serves, or served last. */
  readonly epoch: number;
  /** What is committed and serves; null: nothing does. */
  readonly route: ServedRoute | null;
  /** In the manifest now. */
  readonly plugins: readonly TrafficPluginManifest[];
  /** Who was or is to be told. */
  readonly receivers: readonly TrafficReceiver[];
}

/** One receiver, as it is on record. */
export interface TrafficReceiver {
  readonly target: string;
  readonly plugin: TrafficPluginManifest;
  /** Of what it shall know. */
  readonly revision: number;
  readonly epoch: number;
  readonly route: ServedRoute | null;
  /** Not in the manifest any more. */
  readonly isLast: boolean;
  /** Of what it confirmed; 0: nothing. */
  readonly toldRevision: number;
}

/** What is to be written down next; counts only while the receiver's revision is still the one that was seen, null: while it is not on record. */
export type TrafficChange =
  | (Pick<TrafficReceiver, "target" | "plugin" | "epoch" | "route" | "isLast"> & {
      readonly kind: "want";
      readonly seen: number | null;
    })
  | { readonly kind: "forget"; readonly target: string; readonly seen: number };

/** What is to be told to whom from now on. Says nothing once that is on record, whether it was told yet or not. */
export function decideTraffic({ epoch, route, plugins, receivers }: TrafficState): readonly TrafficChange[] {
  const known = new Map(receivers.map((receiver) => [receiver.target, receiver]));
  const declared = new Map(plugins.map((plugin) => [trafficTarget(plugin), plugin]));
  const wanted = [...declared].flatMap(([target, plugin]): readonly TrafficChange[] => {
    const receiver = known.get(target);
    // Who was never told anything need not hear that nothing serves.
    if (receiver === undefined && route === null) return [];
    const want = { kind: "want", target, plugin, epoch, route, isLast: false } as const;
    return receiver === undefined || isNews(want, receiver)
      ? [{ ...want, seen: receiver?.revision ?? null }]
      : [];
  });
  const removed = receivers
    .filter(({ target }) => !declared.has(target))
    .flatMap((receiver): readonly TrafficChange[] => {
      const { target, plugin, revision: seen } = receiver;
      const last = { kind: "want", target, plugin, epoch: Math.max(epoch, receiver.epoch) } as const;
      if (!receiver.isLast) return [{ ...last, route: null, isLast: true, seen }];
      return receiver.toldRevision === seen ? [{ kind: "forget", target, seen }] : [];
    });
  return [...wanted, ...removed];
}

/** An epoch alone is news too: it is what a receiver goes by. */
const isNews = (want: Omit<TrafficReceiver, "revision" | "toldRevision">, known: TrafficReceiver): boolean =>
  want.epoch >= known.epoch &&
  (want.isLast !== known.isLast ||
    !isDeepStrictEqual(want.route, known.route) ||
    (want.route !== null && want.epoch !== known.epoch) ||
    !isDeepStrictEqual(want.plugin, known.plugin));
