import { describe, expect, it } from "vitest";
import { inWords, matrix, stepsOf, tormentOf, victims } from "./torment.ts";

const seeds = Array.from({ length: 500 }, (_, seed) => seed);

describe("a torment", () => {
  it("is the same whenever its seed is", () => {
    expect(seeds.map((seed) => tormentOf(seed))).toEqual(seeds.map((seed) => tormentOf(seed)));
  });

  it("meets every victim that can be there at every step, warm and cold, killed and paused, in some of five hundred", () => {
    const torments = seeds.map((seed) => tormentOf(seed));
    const met = new Set(torments.map(({ step, blows }) => `${step} ${String(blows[0]?.victim)}`));
    const cells = new Set(matrix().map(({ step, blows }) => `${step} ${String(blows[0]?.victim)}`));
    expect([...cells].filter((cell) => !met.has(cell))).toEqual([]);
    expect(new Set(torments.flatMap(({ blows }) => blows.map(({ how }) => how))).size).toBe(2);
    expect(new Set(torments.map(({ cold }) => cold)).size).toBe(2);
    expect(new Set(torments.map(({ blows }) => blows.length))).toEqual(new Set([1, 2]));
  });

  it("is narrowed to what is wanted", () => {
    const wanted = { victim: "store", step: "fence", cold: true } as const;
    expect(tormentOf(3, wanted)).toMatchObject({ step: "fence", cold: true, blows: [{ victim: "store" }] });
    expect(matrix(wanted).map(inWords)).toEqual(["cold fence:before kill store, away 300 ms"]);
  });

  it("of the matrix is each victim at each step where it is, warm and cold", () => {
    const cells = matrix();
    expect(new Set(cells.map(inWords)).size).toBe(cells.length);
    for (const cold of [false, true]) {
      const told = cells.filter((cell) => cell.cold === cold);
      expect(new Set(told.map(({ step }) => step))).toEqual(new Set(stepsOf(cold)));
      expect(new Set(told.map(({ blows }) => blows[0]?.victim))).toEqual(new Set(victims));
    }
    expect(cells.filter(({ blows }) => blows[0]?.victim === "store")).toHaveLength(18);
  });
});
