import { pino } from "pino";
import { describe, expect, it } from "vitest";
import { repeat } from "./repeat.ts";

describe("repeat", () => {
  it("names the work that failed in the log, and does it again", async () => {
    const lines: string[] = [];
    const again = Promise.withResolvers<void>();
    let turns = 0;
    const end = repeat(
      1,
      "probe the storages",
      async () => {
        turns += 1;
        if (turns === 1) throw new Error("the database is away");
        again.resolve();
      },
      pino({}, { write: (line) => void lines.push(line) }),
    );
    await again.promise;
    await end();
    expect(lines.map((line) => (JSON.parse(line) as { msg: string }).msg)).toEqual([
      "cannot probe the storages",
    ]);
  });
});
