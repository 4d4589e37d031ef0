import { describe, expect, it } from "vitest";
import type { WriteBehind } from "./write-behind.ts";
import { createWriteBehind } from "./write-behind.ts";

/** A write-behind over a clock set by hand and a store that records each attempt. */
function start(failures: readonly boolean[] = []): {
  readonly writeBehind: WriteBehind;
  readonly attempts: { readonly key: string; readonly body: string }[];
  readonly clock: { now: number };
} {
  const attempts: { readonly key: string; readonly body: string }[] = [];
  const clock = { now: 0 };
  const outcomes = [...failures];
  let sealed = 0;
  const writeBehind = createWriteBehind({
    putSegment: async ({ key, body }) => {
      attempts.push({ key, body });
      if (outcomes.shift() === true) throw new Error("cannot store: refused");
    },
    sealSegment: (entries) => ({
      key: `segment-${(sealed += 1)}`,
      body: entries.map(({ id }) => id).join(" "),
    }),
    now: () => clock.now,
    dirtyExpireMs: 750,
  });
  return { writeBehind, attempts, clock };
}

const entry = (id: string): { readonly id: string; readonly position: number; readonly payload: string } => ({
  id,
  position: 1,
  payload: "",
});

describe("write-behind", () => {
  it("writes what is older than the expiry and keeps the youngest for the next batch", async () => {
    const { writeBehind, attempts, clock } = start();
    writeBehind.push(entry("a"));
    clock.now = 500;
    writeBehind.push(entry("b"));
    clock.now = 1_000;
    await writeBehind.flushExpired();
    expect(attempts.map(({ body }) => body)).toEqual(["a"]);
    expect(writeBehind.unflushed()).toBe(1);
  });

  it("writes nothing while nothing is due", async () => {
    const { writeBehind, attempts } = start();
    writeBehind.push(entry("a"));
    await writeBehind.flushExpired();
    expect(attempts).toEqual([]);
    expect(writeBehind.flushes()).toBe(0);
  });

  it("repeats a failed segment with the same key and bytes, then writes the rest under another", async () => {
    const { writeBehind, attempts } = start([true]);
    writeBehind.push(entry("a"));
    await expect(writeBehind.flushAll()).rejects.toThrow("refused");
    expect(writeBehind.unflushed()).toBe(1);
    writeBehind.push(entry("b"));
    await writeBehind.flushAll();
    expect(attempts).toEqual([
      { key: "segment-1", body: "a" },
      { key: "segment-1", body: "a" },
      { key: "segment-2", body: "b" },
    ]);
    expect(writeBehind.unflushed()).toBe(0);
    expect(writeBehind.flushes()).toBe(2);
  });

  it("writes what came while a flush was under way in one more", async () => {
    const { writeBehind, attempts, clock } = start();
    const flushes: Promise<void>[] = [];
    for (const [at, id] of ["a", "b", "c"].entries()) {
      clock.now = at;
      writeBehind.push(entry(id));
      flushes.push(writeBehind.flushAll());
      // The first has begun before the others come.
      if (id === "a") await Promise.resolve();
    }
    await Promise.all(flushes);
    expect(attempts.map(({ body }) => body)).toEqual(["a", "b c"]);
  });

  it("writes each entry once when two flushes are asked for at the same time", async () => {
    const { writeBehind, attempts } = start();
    writeBehind.push(entry("a"));
    await Promise.all([writeBehind.flushAll(), writeBehind.flushAll()]);
    expect(attempts.map(({ body }) => body)).toEqual(["a"]);
  });
});
