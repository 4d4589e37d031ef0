import { describe, expect, it } from "vitest";
import { brokenVariants } from "./broken-variants.ts";
import { planOf } from "./plan.ts";
import { inLines, search } from "./search.ts";
import { sightings } from "./sights.ts";
import { type Variant, simulate } from "./simulate.ts";

const seeds = 2_000;
/** Ten times what a seed needs on a machine that has nothing else to do. */
const seedMs = 200;
/** Within so many seeds what is broken must be found. */
const mostSeeds = 1_000;

/** It takes some thousand seeds. */
const rare: ReadonlySet<string> = new Set(["fenced run alive beside its successor"]);

describe("operations among machines, networks, clocks and disks that fail", () => {
  it("keep the promises after every event of every seed", { timeout: seeds * seedMs }, async () => {
    const { found, sights } = await search({}, { first: 0, count: seeds });
    expect(found === null ? null : inLines(found).join("\n")).toBeNull();
    // Else nothing was shown.
    for (const each of sightings) expect([each, sights[each] > 10 || rare.has(each)]).toEqual([each, true]);
  });

  it("go the same way for the same seed, byte for byte", async () => {
    for (let seed = 0; seed < 20; seed += 1) {
      const [one, two] = [
        await simulate(planOf(seed), {}, { isTraced: true }),
        await simulate(planOf(seed), {}, { isTraced: true }),
      ];
      expect(two.trace.join("\n")).toBe(one.trace.join("\n"));
      expect(two).toEqual(one);
      expect(one.trace.length).toBeGreaterThan(one.events / 2);
    }
  });
});

describe.each(Object.entries(brokenVariants))("somebody who %s", (_name, { breaks, ...variant }) => {
  it("is found, and the plan is cut down to what it takes", { timeout: mostSeeds * seedMs }, async () => {
    const { found } = await search(variant as Variant, { first: 0, count: mostSeeds });
    expect(found?.broken).toMatch(breaks);
    if (found === null) return;
    expect(found.plan.disturbances.length).toBeLessThanOrEqual(3);
    expect(inLines(found).length).toBeLessThan(150);
    // The same plan, and nothing broken where it is not.
    expect((await simulate(found.plan)).broken).toBeNull();
    expect((await simulate(found.plan, variant as Variant)).broken).toBe(found.broken);
  });
});
