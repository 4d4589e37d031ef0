/* Ctrl-C and SIGTERM at any moment of the demo: it ends in bounded time, and leaves no process, no port and no file. */
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it, onTestFinished } from "vitest";
import { startDemo } from "./demo-process.ts";
import { belongingsOf, leftBehind } from "./left-behind.ts";

const endMs = 30_000;

interface Moment {
  readonly when: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly printed: string;
  readonly thenMs: number;
  readonly signals?: readonly NodeJS.Signals[];
  readonly status?: number;
}

const starting = "starting a store";
const moments: readonly Moment[] = [
  { when: "as soon as it starts", printed: starting, thenMs: 0 },
  { when: "while the database starts", printed: starting, thenMs: 1_000 },
  { when: "while the application is deployed", printed: "deploying", thenMs: 200 },
  { when: "while entries are written", printed: "a writer sends", thenMs: 500 },
  { when: "as npm's child", command: ["npm", "run", "-s", "demo", "--"], printed: "deploying", thenMs: 800 },
  { when: "while the source stops", printed: "prepare: done", thenMs: 20 },
  { when: "while the target starts", printed: "handOver: done", thenMs: 100 },
  { when: "after the move", printed: "committed", thenMs: 0 },
  { when: "twice in a row", printed: "prepare: done", thenMs: 20, signals: ["SIGINT", "SIGINT"] },
  { when: "with SIGTERM", printed: "prepare: done", thenMs: 20, signals: ["SIGTERM"], status: 143 },
  {
    when: "while the orchestrator is dead",
    args: ["--kill", "orchestrator@stop"],
    printed: "prepare: done",
    thenMs: 200,
  },
  {
    when: "while it comes again",
    args: ["--kill", "orchestrator@stop"],
    printed: "prepare: done",
    thenMs: 700,
  },
  { when: "during a move by hand", args: ["--no-hook"], printed: "by hard kill", thenMs: 100 },
];

describe("the demo, interrupted", () => {
  it.for(moments)("$when, leaves nothing behind", async (moment) => {
    const { command, args = [], printed, thenMs, signals = ["SIGINT"], status = 130 } = moment;
    const demo = await startDemo(args, command);
    onTestFinished(() => demo.remove());
    await demo.printed(printed);
    await delay(thenMs);
    const before = await belongingsOf(demo.directory);
    const began = performance.now();
    for (const signal of signals) {
      demo.signal(signal);
      await delay(150);
    }
    await demo.exited;
    expect(performance.now() - began).toBeLessThan(endMs);
    expect(await leftBehind(demo.directory, before)).toEqual([]);
    const end = await demo.ended();
    expect({ status: end.status, errors: end.errors }).toEqual({ status, errors: "" });
  });
});
