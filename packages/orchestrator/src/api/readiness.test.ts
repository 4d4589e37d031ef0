import { describe, expect, it } from "vitest";
import { createReadiness } from "./readiness.ts";

describe("readiness", () => {
  it("is whether the database answers", async () => {
    let answer: Promise<unknown> = Promise.resolve();
    const ready = createReadiness({ ask: () => answer, ending: new AbortController().signal });
    expect(await ready()).toBe(true);
    answer = Promise.reject(new Error("gone"));
    expect(await ready()).toBe(false);
    answer = Promise.resolve();
    expect(await ready()).toBe(true);
  });

  it("is over once the end has begun", async () => {
    const ending = new AbortController();
    const ready = createReadiness({ ask: () => Promise.resolve(), ending: ending.signal });
    ending.abort();
    expect(await ready()).toBe(false);
  });

  it("is asked of the database once, by however many", async () => {
    let asked = 0;
    const answer = Promise.withResolvers<void>();
    const ask = (): Promise<void> => {
      asked += 1;
      return answer.promise;
    };
    const ready = createReadiness({ ask, ending: new AbortController().signal });
    const all = Array.from({ length: 100 }, () => ready());
    answer.resolve();
    expect(new Set(await Promise.all(all))).toEqual(new Set([true]));
    expect(asked).toBe(1);
  });
});
