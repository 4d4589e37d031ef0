/*
 * P1, P2, P3: real processes die in the middle of a migration, and it ends, with one writer and nothing lost. A few of the runs that
 * `npm run torture` does by the hundred.
 */
import { expect, it } from "vitest";
import { openBed } from "./bed.ts";
import { series } from "./series.ts";
import { type Torment, type Victim, matrix } from "./torment.ts";

/** No run begins later. */
const seconds = 45;
const cells: readonly (readonly [string, Victim])[] = [
  // It halted for ever: there was nothing left to open.
  ["commit", "target application"],
  ["prepare", "store"],
  ["stop", "source agent"],
  ["stop", "orchestrator"],
];

async function torture(torments: readonly Torment[], acknowledge: "durable" | "in-memory") {
  const lines: string[] = [];
  const named = torments.map((torment) => {
    const { step, blows } = torment;
    return {
      name: `npm run torture -- --matrix --warm --step ${step} --victim "${blows[0]?.victim}"`,
      torment,
    };
  });
  const counts = await series(named, {
    say: (line) => void lines.push(line),
    seconds,
    open: () => openBed(acknowledge),
  });
  return { counts, told: lines.join("\n") };
}

it("survives the death of whoever takes part in it", async () => {
  const torments = cells.flatMap(([step, victim]) => matrix({ step, victim, cold: false }));
  const { counts, told } = await torture(torments, "durable");
  console.log(told);
  // What was told stands in the failure, with the command that repeats it.
  expect({ ...counts, told }).toMatchObject({ broken: 0, metNobody: 0, notReached: 0 });
  expect(counts.runs).toBeGreaterThan(0);
}, 240_000);

it("finds what a ledger loses that acknowledges before it has written", async () => {
  const torments = matrix({ victim: "source application", step: "prepare", cold: false });
  const { counts, told } = await torture(torments, "in-memory");
  expect(counts.broken).toBe(1);
  expect(told).toMatch(/BROKEN: \d+ acknowledged entries are lost/);
}, 240_000);
