import type { Explanation } from "@baton/protocol";
import { expect, it } from "vitest";
import { explanationLines } from "./explanation-lines.ts";

const now = Date.parse("2026-01-01T00:01:30.000Z");
const halted: Explanation = {
  operation: "op-00000000000000000000",
  state: "halted",
  waitsFor: "a person's decision",
  since: "2026-01-01T00:00:00.000Z",
  until: null,
  next: "nothing, and the application's lock is kept: stop failed:\n\u001b[31mno answer",
  actions: [{ command: 'baton operation resume op-00000000000000000000 --reason "…"', means: "try again" }],
  places: [
    {
      part: "source",
      placement: "pl-00000000000000000001",
      cluster: "harbor-a",
      agent: null,
      witness: "unknown",
      trouble: ["cannot reach the agent"],
    },
  ],
  lease: "epoch 1, running, held by pl-00000000000000000001",
  trouble: [],
};

it("says what a halted operation waits for, how its places are, what is not seen, and what can be done", () => {
  expect(explanationLines(halted, now)).toEqual([
    "op-00000000000000000000 is halted",
    "  waits for  a person's decision",
    "  since      2026-01-01 00:00:00 UTC, for 1 min 30 s",
    "  until      it comes: there is no deadline",
    "  then       nothing, and the application's lock is kept: stop failed: no answer",
    "  source     pl-00000000000000000001 on harbor-a: its agent is not seen; from outside unknown",
    "  lease      epoch 1, running, held by pl-00000000000000000001",
    "  unseen     cannot reach the agent",
    "",
    "What can be done:",
    '  baton operation resume op-00000000000000000000 --reason "…"',
    "      try again",
  ]);
});

it("says of one that has ended only what came of it", () => {
  const ended = {
    ...halted,
    state: "committed",
    waitsFor: null,
    since: null,
    next: "nothing: it is committed",
  } as const;
  expect(explanationLines({ ...ended, actions: [], places: [], lease: null }, now)).toEqual([
    "op-00000000000000000000 is committed",
    "  then       nothing: it is committed",
  ]);
});
