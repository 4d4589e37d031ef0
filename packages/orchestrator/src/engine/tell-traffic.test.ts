import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { AppError, type TrafficPluginManifest, createKeyPair, trafficTarget } from "@baton/protocol";
import type { Telling } from "@baton/traffic";
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, expect, it, vi } from "vitest";
import { type RecordsBed, openRecordsBed } from "../fixtures/records-bed.ts";
import { TrafficRecords } from "../records/traffic-records.ts";
import { tellTraffic } from "./tell-traffic.ts";

const timings = { look: 20, firstPause: 40, longestPause: 80 };
const waitMs = 10_000;
const pluginOf = (name: string): TrafficPluginManifest => ({
  plugin: "command",
  command: [`/bin/${name}`],
  timeoutMs: 1_000,
});

let bed: RecordsBed;
let records: TrafficRecords;
const ends: (() => Promise<void>)[] = [];
beforeAll(async () => {
  bed = await openRecordsBed();
  records = new TrafficRecords(bed.database);
});
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});
afterAll(() => bed.end());

/** Serves on `harbor-a`, and these are to be told. */
async function serving(...names: readonly string[]): Promise<string> {
  const { application, target } = await bed.deployed();
  await bed.placements.pinKey(target, (await createKeyPair()).publicKey, "http://127.0.0.1:1");
  await name(application, ...names);
  return application;
}
async function name(application: string, ...names: readonly string[]): Promise<void> {
  const manifest = await bed.catalog.application(application);
  await bed.catalog.putApplication({ ...manifest, traffic: names.map(pluginOf) });
}

/** A replica that tells this application's receivers. @param tell by the receiver's name */
function startReplica(
  application: string,
  tell: (name: string, telling: Telling, signal: AbortSignal) => Promise<void>,
) {
  const closing = new AbortController();
  const logged: string[] = [];
  const end = tellTraffic({
    records,
    open: (plugin) => ({
      check: async () => undefined,
      async tell(telling, signal) {
        if (telling.application !== application || plugin.plugin !== "command") return;
        await tell(String(plugin.command[0]).replace("/bin/", ""), telling, signal);
      },
    }),
    ownerOf: (each) => `here/${each}`,
    log: pino({}, { write: (line: string) => void logged.push(line) }),
    signal: closing.signal,
    timings,
  });
  const stop = async (): Promise<void> => {
    closing.abort();
    await end();
  };
  ends.push(stop);
  return { logged, stop };
}
const settled = (application: string, of: string) =>
  vi.waitFor(
    async () => {
      const view = (await records.view(application)).find(
        ({ target }) => target === trafficTarget(pluginOf(of)),
      );
      if (view?.settled !== true) throw new Error("not yet");
      return view;
    },
    { timeout: waitMs, interval: 20 },
  );
async function silent(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, "abort");
  throw new AppError("traffic-failed", "cannot tell it: no answer");
}

it("tells each receiver once, and whoever refuses again after a pause, with what went wrong in the log once", async () => {
  const application = await serving("one", "two");
  const calls: string[] = [];
  const { logged } = startReplica(application, async (of, { epoch, owner, route }) => {
    calls.push(`${of} ${epoch} ${owner} ${route?.cluster}`);
    if (of === "two" && calls.filter((call) => call.startsWith("two")).length < 3)
      throw new AppError("traffic-failed", "cannot tell it: not now");
  });
  expect(await settled(application, "one")).toMatchObject({
    told: { epoch: 1, cluster: "harbor-a" },
    error: null,
  });
  expect(await settled(application, "two")).toMatchObject({ tries: 0, error: null });
  await delay(5 * timings.look);
  const call = `1 here/${application} harbor-a`;
  expect(calls.toSorted()).toEqual([`one ${call}`, `two ${call}`, `two ${call}`, `two ${call}`]);
  expect(logged.filter((line) => line.includes("not now"))).toHaveLength(1);
});

it("a silent receiver holds up nobody, and is given up at its deadline", async () => {
  const application = await serving("silent", "other");
  startReplica(application, (of, _telling, signal) => (of === "silent" ? silent(signal) : Promise.resolve()));
  await settled(application, "other");
  await vi.waitFor(
    async () => {
      const view = await records.view(application);
      expect(view.find(({ settled: is }) => !is)).toMatchObject({
        error: { detail: "cannot tell it: no answer" },
      });
    },
    { timeout: waitMs },
  );
});

it("what one replica was telling when it stopped, another tells at once", async () => {
  const application = await serving("one");
  const begun = Promise.withResolvers<void>();
  const first = startReplica(application, (_of, _telling, signal) => {
    begun.resolve();
    return silent(signal);
  });
  await begun.promise;
  await first.stop();
  const stoppedAt = performance.now();
  startReplica(application, async () => undefined);
  await settled(application, "one");
  // Its claim would have lasted seconds more.
  expect(performance.now() - stoppedAt).toBeLessThan(3_000);
});

it("two replicas tell a receiver once", async () => {
  const application = await serving("one");
  let calls = 0;
  const tell = async (): Promise<void> => {
    calls += 1;
    await delay(5 * timings.look);
  };
  startReplica(application, tell);
  startReplica(application, tell);
  await settled(application, "one");
  await delay(5 * timings.look);
  expect(calls).toBe(1);
});

it("whoever is taken out of the manifest is told that nothing serves, and forgotten", async () => {
  const application = await serving("one");
  const told: string[] = [];
  startReplica(
    application,
    async (of, { route, isLast }) => void told.push(`${of} ${route?.cluster} ${isLast}`),
  );
  await settled(application, "one");
  await name(application, "two");
  await settled(application, "two");
  await vi.waitFor(
    async () =>
      expect((await records.view(application)).map(({ target }) => target)).toEqual(['command ["/bin/two"]']),
    { timeout: waitMs },
  );
  expect(told.toSorted()).toEqual(["one harbor-a false", "one undefined true", "two harbor-a false"]);
});
