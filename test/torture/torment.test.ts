import { describe, expect, it } from "vitest";
import { inWords, matrix, stepsOf, tormentOf, victims } from "./torment.ts";

const seeds = Array.from({ length: 500 }, (_, seed) => seed);

describe("a torment", () => {
  it("is the same whenever its seed is", () => {
    expect(seeds.map((seed) => tormentOf(seed))).toEqual(seeds.map((seed) => tormentOf(seed)));
  });

  it("meets every victim at every step, warm and cold, killed and paused, in some of five hundred", () => {
    const torments = seeds.map((seed) => tormentOf(seed));
    const met = new Set(torments.map(({ step, blows }) => `${step} ${String(blows[0]?.victim)}`));
    expect(met.size).toBe(victims.length * stepsOf(false).length);
    expect(new Set(torments.flatMap(({ blows }) => blows.map(({ how }) => how))).size).toBe(2);
    expect(new Set(torments.map(({ cold }) => cold)).size).toBe(2);
    expect(new Set(torments.map(({ blows }) => blows.length))).toEqual(new Set([1, 2]));
  });

  it("is narrowed to what is wanted", () => {
    const wanted = { victim: "store", step: "fence", cold: true } as const;
    expect(tormentOf(3, wanted)).toMatchObject({ step: "fence", cold: true, blows: [{ victim: "store" }] });
    expect(matrix(wanted).map(inWords)).toEqual(["cold fence:before kill store, away 300 ms"]);
  });

  it("of the matrix is each victim at each step, warm and cold", () => {
    const cells = new Set(matrix().map(inWords));
    expect(cells.size).toBe(victims.length * stepsOf(false).length * 2);
  });
});
