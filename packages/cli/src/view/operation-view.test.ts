import { stripVTControlCharacters } from "node:util";
import type { Operation } from "@baton/protocol";
import { describe, expect, it } from "vitest";
import { newMigration, recordCommitted, recordRolledBack } from "../fixtures/recorded-operations.ts";
import { describeChange } from "./operation-events.ts";
import { reachedSteps, renderOperation } from "./operation-lines.ts";
import { createOperationView, renderLedger } from "./operation-view.ts";
import { colored, fit, formatMs, oneLine } from "./text.ts";

const start = Date.parse("2026-01-02T03:04:05.000Z");
const committed = recordCommitted(start);
const rolledBack = recordRolledBack(start);
const at = (records: readonly Operation[], step: string, state: string): Operation => {
  const found = records.find(({ steps }) => steps.some((one) => one.name === step && one.state === state));
  if (found === undefined) throw new Error(`no record with ${step} ${state}`);
  return found;
};
const render = (operation: Operation, width = 100, now = start) => renderOperation(operation, { width, now });

describe("the lines of an operation", () => {
  it("show title, one line a step, and the bar", () => {
    const lines = render(newMigration(start));
    expect(lines[0]).toBe("migrate ledger harbor-a → harbor-b  op-01k2m3n4p5q6r7s8t9va");
    expect(lines.slice(1, -1).map((line) => line.trim().split(/\s+/)[1])).toEqual(
      newMigration(start).steps.map(({ name }) => name),
    );
    expect(lines.at(-1)).toBe(`  ${"╌".repeat(40)}  0/9  0 ms`);
  });

  it("mark the pivot, and only it", () => {
    const marked = render(committed.at(-1) as Operation).filter((line) =>
      line.includes("point of no return"),
    );
    expect(marked).toEqual([expect.stringContaining("✔ commit")]);
  });

  it("let the running step's time grow and its spinner turn", () => {
    const running = at(committed, "fence", "running");
    const frames = [0, 1].map((frame) =>
      renderOperation(running, { width: 100, now: start + 2_650 + frame * 100, frame }).find((line) =>
        line.includes("fence"),
      ),
    );
    expect(frames).toEqual(["  ⠋ fence          1.00 s", "  ⠙ fence          1.10 s"]);
  });

  it("end with the whole bar and the verdict", () => {
    expect(render(committed.at(-1) as Operation).at(-1)).toBe(`  ${"━".repeat(40)}  9/9  4.60 s  committed`);
  });

  it("show what is taken back, and why", () => {
    const lines = render(at(rolledBack, "handOver", "undoing"), 100, start + 4_720);
    expect(lines).toContainEqual("  ↶ start          665 ms  taken back");
    expect(lines).toContainEqual("  ⠋ handOver        25 ms  taking back");
    expect(lines.at(-2)).toContain("4/9  4.72 s  taking back");
    expect(lines.at(-1)).toContain("start failed: cannot start");
    expect(render(rolledBack.at(-1) as Operation).at(-2)).toContain("0/9  5.60 s  rolled back");
  });

  it("show why a step or its undo failed, on one line and without control sequences", () => {
    const failed = at(rolledBack, "start", "failed");
    expect(render(failed)).toContainEqual(
      "  ✖ start          665 ms  failed: the application exited with status 3",
    );
    const steps = failed.steps.map((step) =>
      step.name === "start" ? { ...step, state: "undo-failed" as const, detail: "a\n\x1b[31mb\x07" } : step,
    );
    const halted = render({ ...failed, steps, state: "halted" });
    expect(halted).toContainEqual("  ✖ start          665 ms  undo failed: a b");
    expect(halted.at(-1)).toContain("halted");
  });

  it("let the bar grow, and shrink again on the way back", () => {
    const reached = rolledBack.map(reachedSteps);
    expect(reached.filter((count, index) => count !== reached[index - 1])).toEqual([
      0, 1, 2, 3, 4, 5, 4, 2, 1, 0,
    ]);
  });

  it.each([0, 1, 5, 12, 20, 33, 47, 60, 79])("are never wider than %i columns", (width) => {
    for (const operation of [...committed, ...rolledBack])
      for (const line of renderOperation(operation, { width, now: start + 5_000, paint: colored }))
        expect(Array.from(stripVTControlCharacters(line)).length).toBeLessThanOrEqual(width);
  });

  it("are the same in colour, but for the colours", () => {
    const options = { width: 80, now: start + 5_000 };
    for (const operation of rolledBack) {
      const lines = renderOperation(operation, { ...options, paint: colored });
      expect(lines.map(stripVTControlCharacters)).toEqual(renderOperation(operation, options));
    }
  });
});

describe("the log of an operation", () => {
  const log = (records: readonly Operation[]): readonly string[] =>
    records.flatMap((operation, index) => describeChange(records[index - 1] ?? null, operation));

  it("has one line for each step that ended, and the verdict", () => {
    expect(log(committed)).toEqual([
      "migrate ledger harbor-a → harbor-b  op-01k2m3n4p5q6r7s8t9va",
      "preflight: done after 312 ms",
      "prepare: done after 1.18 s",
      "stop: done after 130 ms",
      "fence: done after 2.05 s",
      "handOver: done after 25 ms",
      "start: done after 215 ms",
      "verify: done after 35 ms",
      "commit: done after 9 ms (point of no return)",
      "retire: done after 595 ms",
      "committed after 4.60 s",
    ]);
  });

  it("has the way back, in its order", () => {
    const reason = "start failed: cannot start pl-01k2m3n4p5q6r7s8t9vb: the application exited with status 3";
    const back = [
      "start: failed after 665 ms: the application exited with status 3",
      `taking back: ${reason}`,
      "start: taken back",
      "handOver: taken back",
      "stop: taken back",
      "prepare: taken back",
      `rolled back after 5.60 s: ${reason}`,
    ];
    expect(log(rolledBack).slice(-back.length)).toEqual(back);
  });

  it("misses nothing of what lies between two records that were seen", () => {
    const seen = [
      rolledBack[0],
      at(rolledBack, "start", "failed"),
      rolledBack.at(-1),
    ] as readonly Operation[];
    expect(log(seen).map((line) => line.split(":")[0])).toEqual([
      "migrate ledger harbor-a → harbor-b  op-01k2m3n4p5q6r7s8t9va",
      "preflight",
      "prepare",
      "stop",
      "fence",
      "handOver",
      "start",
      "start",
      "handOver",
      "stop",
      "prepare",
      "rolled back after 5.60 s",
    ]);
  });
});

describe("the downtime ledger", () => {
  it("has each moment with the time since the one before and since the first", () => {
    expect(renderLedger(committed.at(-1) as Operation)).toEqual([
      "  downtime ledger  at (UTC)       step ms    sum ms",
      "  stop sent        03:04:06.512         0         0",
      "  exited           03:04:06.608       +96        96",
      "  confirmed        03:04:06.640       +32       128",
      "  fenced           03:04:08.700     +2060      2188",
      "  granted          03:04:08.728       +28      2216",
      "  start sent       03:04:08.736        +8      2224",
      "  ready            03:04:08.948      +212      2436",
      "  committed        03:04:09.001       +53      2489",
      "  the application stopped in 96 ms, started in 204 ms",
    ]);
  });

  it("has only the moments that the kind of operation can have", () => {
    const ledger = (kind: Operation["kind"]) =>
      renderLedger({ ...(committed.at(-1) as Operation), kind })
        .slice(1, -1)
        .map((line) => line.slice(2, 17).trim());
    expect(ledger("stop")).toEqual(["stop sent", "exited", "confirmed", "fenced", "committed"]);
    expect(ledger("delete")).toEqual(ledger("stop"));
    expect(ledger("start")).toEqual(["granted", "start sent", "ready", "committed"]);
    expect(ledger("deploy")).toEqual(ledger("start"));
  });

  it("leaves a moment open that has not come, and is empty without any", () => {
    expect(renderLedger(rolledBack.at(-1) as Operation)).toContain("  committed        –");
    expect(renderLedger(newMigration(start))).toEqual([]);
  });
});

describe("a view", () => {
  const createStream = (size: { columns?: number; rows?: number } = {}, colors = false) => {
    const written: string[] = [];
    return { ...size, written, write: (text: string) => written.push(text), hasColors: () => colors };
  };
  const show = (stream: ReturnType<typeof createStream>, interactive: boolean, records = rolledBack) => {
    const view = createOperationView({ stream, interactive });
    for (const operation of records) view.update(operation);
    view.end();
    view.end();
    return stream.written;
  };

  it("writes whole lines without control sequences where it is not interactive", () => {
    const text = show(createStream({ columns: 20 }), false).join("");
    expect(text).toBe(stripVTControlCharacters(text));
    expect(text.trimEnd().split("\n")).toHaveLength(13);
  });

  it("draws over its last frame in place", () => {
    const frames = show(createStream(), true);
    expect(frames).toHaveLength(rolledBack.length + 1);
    for (const [index, frame] of frames.entries()) {
      const before = frames[index - 1]?.split("\n").length ?? 1;
      expect(frame.startsWith(before === 1 ? "\x1b[?7l\r" : `\x1b[?7l\x1b[${before - 1}A\r`)).toBe(true);
      expect(frame.endsWith("\x1b[?7h")).toBe(true);
    }
  });

  it("draws no more lines than the terminal has, and all of them at the end", () => {
    const frames = show(createStream({ columns: 60, rows: 6 }), true);
    for (const frame of frames.slice(0, -1)) expect(frame.split("\n").length - 1).toBeLessThanOrEqual(5);
    expect(stripVTControlCharacters(frames.at(-1) ?? "").split("\n")).toHaveLength(13);
  });

  it.each([true, false])("colours only a terminal that shows colours: %s", (colors) => {
    expect(show(createStream({}, colors), true).join("").includes("\x1b[32m")).toBe(colors);
  });
});

describe("words", () => {
  it.each([
    [0, "0 ms"],
    [999.4, "999 ms"],
    [999.6, "1.00 s"],
    [59_990, "59.99 s"],
    [59_999, "1 min 00 s"],
    [125_000, "2 min 05 s"],
  ])("say %d ms as %s", (ms, text) => {
    expect(formatMs(ms)).toBe(text);
  });

  it("are cut to the width and kept on one line", () => {
    expect([fit("harbor", 6), fit("harbor", 5), fit("harbor", 1), fit("harbor", 0)]).toEqual([
      "harbor",
      "harb…",
      "…",
      "",
    ]);
    expect(oneLine(" a\r\n\tb\x1b[2Jc\x00 ")).toBe("a bc");
  });
});
