/*
 * Replicas that stop and go on at any moment, while the application moves: what they look at, write down, tell and confirm in any order. A receiver that
 * compares is never led to what is not committed, never back, and in the end to where the application is served.
 */
import { type TrafficPluginManifest, trafficTarget } from "@baton/protocol";
import fc from "fast-check";
import { expect, it } from "vitest";
import { type TrafficChange, type TrafficReceiver, decideTraffic } from "./decide-traffic.ts";
import type { ServedRoute } from "./traffic-plugin.port.ts";

interface Rules {
  /** What a replica takes for the route. */
  readonly read: "committed" | "planned";
  /** Whether what was seen has to be there still. */
  readonly compares: boolean;
}
const asBuilt: Rules = { read: "committed", compares: true };

const plugin: TrafficPluginManifest = { plugin: "command", command: ["/bin/true"], timeoutMs: 1_000 };
const target = trafficTarget(plugin);
const replicas = 2;
const acts = ["look", "write", "claim", "send", "confirm"] as const;
type Act = (typeof acts)[number];
/** Without a stop in between. */
const turns: readonly (readonly Act[])[] = [...acts.map((act) => [act]), ["claim", "send", "confirm"]];
const events = ["plan", "commit", "stop", "name", "take out"] as const;
type Step =
  | { readonly replica: number; readonly turn: readonly Act[] }
  | { readonly replica: null; readonly event: (typeof events)[number] };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ replica: fc.nat(replicas - 1), turn: fc.constantFrom(...turns) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      replica: fc.constant(null),
      event: fc.constantFrom(...events, "commit", "commit"),
    }),
  },
);

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** @returns what broke, in words; null: nothing */
function run(steps: readonly Step[], rules: Rules): string | null {
  let places = 0;
  let named = true;
  let planned: ServedRoute | null = null;
  let committed: { epoch: number; route: ServedRoute | null } = { epoch: 0, route: null };
  const everCommitted = new Set<string>();
  let row: Mutable<TrafficReceiver> | null = null;
  let revisions = 0;
  const hands = Array.from({ length: replicas }, () => ({
    changes: [] as readonly TrafficChange[],
    telling: null as TrafficReceiver | null,
    sent: false,
  }));
  let taken: Pick<TrafficReceiver, "epoch" | "revision" | "route"> = { epoch: 0, revision: 0, route: null };
  let broken: string | null = null;

  const newRoute = (): ServedRoute => {
    places += 1;
    return { placement: `pl-${places}`, cluster: "harbor", url: `http://${places}` };
  };
  const write = (change: TrafficChange): void => {
    const isFresh = (row?.revision ?? null) === change.seen;
    if (rules.compares && !isFresh) return;
    if (change.kind === "forget") {
      if (row?.toldRevision === row?.revision) row = null;
      return;
    }
    const { epoch, route, isLast } = change;
    revisions += 1;
    row = { target, plugin, epoch, route, isLast, revision: revisions, toldRevision: row?.toldRevision ?? 0 };
  };
  const take = (telling: TrafficReceiver): void => {
    const { epoch, revision, route } = telling;
    if (route !== null && !everCommitted.has(`${epoch} ${route.placement}`))
      broken ??= `told ${route.placement} in epoch ${epoch}, which was not committed`;
    if (epoch < taken.epoch || revision < taken.revision) {
      if (epoch < taken.epoch && revision > taken.revision)
        broken ??= `epoch ${epoch} came as news after epoch ${taken.epoch}`;
      return;
    }
    taken = { epoch, revision, route };
  };
  const act = (replica: number, what: Act): void => {
    const hand = hands[replica];
    if (hand === undefined) return;
    if (what === "look")
      hand.changes = decideTraffic({
        ...(rules.read === "planned" && planned !== null
          ? { epoch: committed.epoch + 1, route: planned }
          : committed),
        plugins: named ? [plugin] : [],
        receivers: row === null ? [] : [{ ...row }],
      });
    if (what === "write") {
      for (const change of hand.changes) write(change);
      hand.changes = [];
    }
    if (what === "claim" && row !== null && row.toldRevision !== row.revision)
      Object.assign(hand, { telling: { ...row }, sent: false });
    if (what === "send" && hand.telling !== null) {
      take(hand.telling);
      hand.sent = true;
    }
    if (what === "confirm" && hand.telling !== null && hand.sent) {
      if (row !== null) row.toldRevision = Math.max(row.toldRevision, hand.telling.revision);
      hand.telling = null;
    }
  };
  const happen = (event: (typeof events)[number]): void => {
    switch (event) {
      case "plan":
        planned ??= newRoute();
        break;
      case "commit": {
        const route = planned ?? newRoute();
        planned = null;
        committed = { epoch: committed.epoch + 1, route };
        everCommitted.add(`${committed.epoch} ${route.placement}`);
        break;
      }
      case "stop":
        committed = { ...committed, route: null };
        break;
      case "name":
      case "take out":
        named = event === "name";
    }
  };
  for (const each of steps)
    if (each.replica === null) happen(each.event);
    else for (const what of each.turn) act(each.replica, what);
  // Nothing happens any more, and one replica is left.
  for (let round = 0; round < 4; round += 1) for (const what of acts) act(0, what);
  const expected = named ? committed.route : null;
  if (taken.route?.placement !== expected?.placement) broken ??= "it leads elsewhere in the end";
  return broken;
}

const holds = (rules: Rules, numRuns: number) =>
  fc.check(
    fc.property(fc.array(step, { maxLength: 60, size: "max" }), (steps) => run(steps, rules) === null),
    { numRuns },
  );

it("leads to what is committed, never back, and there in the end", () => {
  const { failed, counterexample } = holds(asBuilt, 2_000);
  expect({ failed, counterexample }).toEqual({ failed: false, counterexample: null });
});

it.each([
  ["tells before the commit", { ...asBuilt, read: "planned" }],
  ["writes over what it did not see", { ...asBuilt, compares: false }],
] as const)("one that %s is caught", (_what, rules) => {
  expect(holds(rules, 20_000).failed).toBe(true);
});
