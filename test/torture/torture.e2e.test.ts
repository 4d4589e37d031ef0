/*
 * P1, P2, P3: real processes die or stand still in the middle of a migration, and it ends, with one writer and nothing lost. A few of the runs that
 * `npm run torture` does by the hundred.
 */
import { expect, it } from "vitest";
import { openBed } from "./bed.ts";
import { series } from "./series.ts";
import { type Torment, matrix, tormentOf } from "./torment.ts";

/** No run begins later. */
const seconds = 60;
const runs = 8;
const dayMs = 86_400_000;

async function torture(torments: readonly Torment[], acknowledge: "durable" | "in-memory", first = 0) {
  const lines: string[] = [];
  const cells = torments.map((torment, at) => ({ name: `seed ${first + at}`, torment }));
  const counts = await series(cells, {
    say: (line) => void lines.push(line),
    seconds,
    open: () => openBed(acknowledge),
  });
  return { counts, told: lines.join("\n") };
}

it("survives whatever a day's seeds do to it", async () => {
  const first = Math.floor(Date.now() / dayMs) * 10;
  const torments = Array.from({ length: runs }, (_, at) => tormentOf(first + at));
  const { counts, told } = await torture(torments, "durable", first);
  const again = `npm run torture -- --seed ${first} --runs ${runs}`;
  console.log(`${told}\nthe same again: ${again}`);
  expect(counts.broken, `${told}\nrepeat with: ${again}`).toBe(0);
  expect(counts.runs - counts.metNobody).toBeGreaterThan(0);
}, 240_000);

it("finds what a ledger loses that acknowledges before it has written", async () => {
  const { counts, told } = await torture(
    matrix({ victim: "source application", step: "prepare", cold: false }),
    "in-memory",
  );
  expect(counts.broken).toBe(1);
  expect(told).toMatch(/BROKEN: \d+ acknowledged entries are lost/);
}, 240_000);
