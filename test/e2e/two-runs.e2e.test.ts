/* P1, P2: the demo as a newcomer runs it, again right after the first, and twice at the same time. */
import { describe, expect, it, onTestFinished } from "vitest";
import { type DemoProcess, startDemo, verdictOf } from "./demo-process.ts";
import { leftBehind } from "./left-behind.ts";

const nothing = { processes: [], ports: [] };

async function start(): Promise<DemoProcess> {
  const demo = await startDemo(["--json"]);
  onTestFinished(() => demo.remove());
  return demo;
}

async function expectCommitted(demo: DemoProcess): Promise<void> {
  const { status, output, errors } = await demo.ended();
  expect({ status, errors }).toEqual({ status: 0, errors: "" });
  const verdict = verdictOf(output);
  expect(verdict).toMatchObject({
    outcome: "committed",
    entriesLost: 0,
    entriesDuplicated: 0,
    overlappingWriters: 0,
    receipt: { outcome: "graceful", evidenceClass: "proven" },
  });
  expect(verdict.entriesAcknowledged).toBeGreaterThanOrEqual(500);
  expect(verdict.entriesUnflushedAtStop).toBeGreaterThanOrEqual(50);
  expect(verdict.epochAfter).toBe((verdict.epochBefore ?? 0) + 1);
  expect(await leftBehind(demo.directory, nothing)).toEqual([]);
}

describe("the demo", () => {
  it("works again right after it ended", async () => {
    await expectCommitted(await start());
    await expectCommitted(await start());
  });

  it("works twice at the same time", async () => {
    await Promise.all((await Promise.all([start(), start()])).map(expectCommitted));
  });
});
