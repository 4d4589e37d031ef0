import { describe, expect, it } from "vitest";
import { brokenBehaviours } from "./broken-behaviours.ts";
import { ignoresConditions, letsTwoWin, losesWrites, readsStale } from "./stores.ts";
import { createSights, sightings } from "./sights.ts";
import { type SimulationParams, simulate } from "./world.ts";

const events = 300;
/** More than the usual ones: LEASE_SEEDS=100000. One that failed: LEASE_FIRST_SEED=n LEASE_SEEDS=1. */
const usualSeeds = 1_000;
const seeds = Number(process.env["LEASE_SEEDS"] ?? usualSeeds);
const firstSeed = Number(process.env["LEASE_FIRST_SEED"] ?? 0);
/** Ten times what a seed needs on a machine that has something else to do. */
const seedMs = 100;

/** It takes some ten thousand seeds, or the tests of the history of writes. */
const rare: ReadonlySet<string> = new Set(["write forgotten"]);

/** The first seed that breaks a promise, with what led to it. */
async function search(variant: Omit<SimulationParams, "seed" | "events">, from: number, count: number) {
  const sights = createSights();
  let happened = 0;
  for (let seed = from; seed < from + count; seed += 1) {
    const result = await simulate({ seed, events, ...variant });
    happened += result.events;
    for (const each of sightings) sights.counts[each] += result.sights[each];
    if (result.broken === null) continue;
    const { broken, trace } = await simulate({ seed, events, ...variant, isTraced: true });
    const story = [...trace, `seed ${seed}: ${broken ?? "nothing when it was replayed"}`].join("\n");
    return { seed, broken, story, happened, sights: sights.counts };
  }
  return { seed: null, broken: null, story: null, happened, sights: sights.counts };
}

describe("the lease among agents, orchestrators and a stranger", () => {
  it(
    "keeps its promises in every world, whatever happens to machines, clocks, requests and answers",
    { timeout: 30_000 + seeds * seedMs },
    async () => {
      const began = performance.now();
      const { story, happened, sights } = await search({}, firstSeed, seeds);
      expect(story).toBeNull();
      const perSecond = Math.round((1_000 * happened) / (performance.now() - began));
      if (seeds > usualSeeds) console.log(`${seeds} seeds, ${happened} events, ${perSecond}/s`, sights);
      // Else nothing was shown.
      if (seeds >= usualSeeds)
        for (const each of sightings)
          expect([each, sights[each] > 5 || rare.has(each)]).toEqual([each, true]);
    },
  );

  it("goes the same way every time for the same seed", async () => {
    for (let seed = 0; seed < 20; seed += 1) {
      const [one, two] = [
        await simulate({ seed, events, isTraced: true }),
        await simulate({ seed, events, isTraced: true }),
      ];
      expect(two).toEqual(one);
      expect(one.events).toBe(events);
    }
  });
});

const brokenIn1000 = async (variant: Omit<SimulationParams, "seed" | "events">): Promise<string> =>
  (await search(variant, 0, 1_000)).broken ?? "nothing in 1000 seeds";

it.each([
  ["ignores conditions", ignoresConditions, /written twice|went from/],
  ["loses a write that it acknowledged", losesWrites, /called (applied|done)/],
  ["reads stale", readsStale, / called /],
  ["lets two writes on one ETag win", letsTwoWin, /written twice|went from/],
])("a store is found that %s", { timeout: 1_000 * seedMs }, async (_, store, what) => {
  expect(await brokenIn1000({ store })).toMatch(what);
});

it.each<[keyof typeof brokenBehaviours, RegExp]>([
  ["looks after an unclear answer and makes another write", / called /],
  ["looks after an unclear answer and calls its write not applied", /called (superseded|impossible)/],
  ["renews without a condition", /written twice|went from/],
  ["deletes the lease at the release", /was deleted/],
  ["counts its nonces from one again after a crash", /written twice|called applied/],
  ["forgets its deadline", /past its deadline/],
  ["takes the age of the lease on the wall clock for evidence", /^P1/],
  ["takes silence for evidence", /^P1/],
  ["takes a fence of the lease for one of the writer", /^P1/],
])("code is found that %s", { timeout: 1_000 * seedMs }, async (name, what) => {
  expect(await brokenIn1000({ behaviour: brokenBehaviours[name] })).toMatch(what);
});
