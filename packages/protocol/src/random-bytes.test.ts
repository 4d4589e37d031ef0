import { describe, expect, it } from "vitest";
import { randomBytes } from "./random-bytes.ts";

describe("random bytes", () => {
  it("are as many as asked for, never the same twice, and use every value", () => {
    const seen = new Set<string>();
    const values = new Set<number>();
    for (let n = 0; n < 1_000; n += 1) {
      const bytes = randomBytes(16);
      expect(bytes).toHaveLength(16);
      seen.add(bytes.toString());
      for (const byte of bytes) values.add(byte);
    }
    expect(seen.size).toBe(1_000);
    expect(values.size).toBe(256);
    expect(randomBytes(0)).toHaveLength(0);
  });
});
