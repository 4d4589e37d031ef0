import { type TrafficPluginManifest, trafficTarget } from "@baton/protocol";
import { describe, expect, it } from "vitest";
import { type TrafficReceiver, type TrafficState, decideTraffic } from "./decide-traffic.ts";

const webhook = (host: string, timeoutMs = 1_000): TrafficPluginManifest => ({
  plugin: "webhook",
  url: `http://${host}/`,
  secret: { file: "/secrets/webhook" },
  timeoutMs,
});
const plugin = webhook("one");
const target = trafficTarget(plugin);
const route = { placement: "pl-a", cluster: "harbor-a", url: "http://a:1" };
const moved = { placement: "pl-b", cluster: "harbor-b", url: "http://b:1" };
const served: TrafficState = { epoch: 3, route, plugins: [plugin], receivers: [] };
const receiver: TrafficReceiver = {
  target,
  plugin,
  revision: 7,
  epoch: 3,
  route,
  isLast: false,
  toldRevision: 7,
};
const decide = (changes: Partial<TrafficState>, of: Partial<TrafficReceiver> = {}) =>
  decideTraffic({ ...served, receivers: [{ ...receiver, ...of }], ...changes });
const want = { kind: "want", target, plugin, epoch: 3, route, isLast: false, seen: 7 };

describe("what is to be told", () => {
  it("is where the application is served, to who was told nothing yet", () =>
    expect(decideTraffic(served)).toEqual([{ ...want, seen: null }]));

  it("is nothing where nothing serves and nobody was told", () =>
    expect(decideTraffic({ ...served, route: null })).toEqual([]));

  it("is nothing new to who knows it, or is to be told already", () => {
    expect(decide({})).toEqual([]);
    expect(decide({}, { toldRevision: 6 })).toEqual([]);
  });

  it("is every move, every end, and an epoch alone", () => {
    expect(decide({ epoch: 4, route: moved })).toEqual([{ ...want, epoch: 4, route: moved }]);
    expect(decide({ route: null })).toEqual([{ ...want, route: null }]);
    expect(decide({ epoch: 4 })).toEqual([{ ...want, epoch: 4 }]);
    expect(decide({ epoch: 4, route: null }, { route: null })).toEqual([]);
  });

  it("is never older than what is on record", () => expect(decide({ epoch: 2, route: moved })).toEqual([]));

  it("is told again when something else is said about the receiver", () => {
    const slower = webhook("one", 2_000);
    expect(decide({ plugins: [slower] })).toEqual([{ ...want, plugin: slower }]);
  });

  it("is the end of it to who is no longer named, who is forgotten once that is confirmed", () => {
    const last = { ...want, route: null, isLast: true };
    expect(decide({ plugins: [] })).toEqual([last]);
    expect(decide({ plugins: [] }, { route: null, isLast: true, toldRevision: 6 })).toEqual([]);
    expect(decide({ plugins: [] }, { route: null, isLast: true })).toEqual([
      { kind: "forget", target, seen: 7 },
    ]);
  });

  it("is all of it again to who is named again", () =>
    expect(decide({}, { route: null, isLast: true, toldRevision: 6 })).toEqual([want]));

  it("is decided for each receiver by itself", () => {
    const other = webhook("two");
    expect(decide({ plugins: [other] })).toEqual([
      { ...want, target: trafficTarget(other), plugin: other, seen: null },
      { ...want, route: null, isLast: true },
    ]);
  });
});
