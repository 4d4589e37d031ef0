/* What the checker is worth: moves without Baton lose entries or overlap, and the demo says so. */
import { describe, expect, it, onTestFinished } from "vitest";
import { startDemo, verdictOf } from "./demo-process.ts";

const hardKills = [1, 2, 3];

async function runDemo(args: readonly string[]) {
  const demo = await startDemo(["--json", ...args]);
  onTestFinished(() => demo.remove());
  const { status, output } = await demo.ended();
  return { status, verdict: verdictOf(output) };
}

describe("a move without Baton", () => {
  it.for(hardKills)("by hard kill loses what was acknowledged, run %i", async () => {
    const { status, verdict } = await runDemo(["--no-hook"]);
    expect(verdict.entriesUnflushedAtStop).toBeGreaterThanOrEqual(50);
    expect(verdict.entriesLost).toBeGreaterThan(0);
    expect(status).toBe(1);
  });

  it("that starts before it stops is reported as overlapping writers", async () => {
    const { status, verdict } = await runDemo(["--plant", "start-before-stop"]);
    expect(verdict.overlappingWriters).toBeGreaterThan(0);
    expect(status).toBe(1);
  });
});
