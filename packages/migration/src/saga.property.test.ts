import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { deploy } from "./deploy.saga.ts";
import { deleteServing, deleteStopped } from "./delete.saga.ts";
import type { FakeWorld } from "./fakes/fake-world.ts";
import { type Schedule, play, schedules, strategicSchedules } from "./fakes/schedule.ts";
import { migrate, migrateCold } from "./migrate.saga.ts";
import { start } from "./start.saga.ts";
import { stop } from "./stop.saga.ts";

const serving = (world: FakeWorld): Promise<void> => world.serveOnSource();
const empty = (): Promise<void> => Promise.resolve();
const stopped = async (world: FakeWorld): Promise<void> => {
  await world.serveOnSource();
  await world.source.die();
  world.wasServing = false;
};

const aiming =
  (aim: FakeWorld["aim"], begin: (world: FakeWorld) => Promise<void>) =>
  async (world: FakeWorld): Promise<void> => {
    await begin(world);
    world.aim = aim;
    if (aim === "start") world.ports.target = world.source;
  };
const resting = (world: FakeWorld): Promise<void> => world.restOnSource();

const fails: Schedule = { verifyFails: true };
/** Without a fence what did not stop gracefully is not passed on. */
const crashes: Schedule = { source: "crashed-during-stop" };
const all = ["committed", "rolled-back", "halted"] as const;
/** Of what needs no second placement, hardly anything halts. */
const seldomHalted = ["committed", "rolled-back"] as const;

/** With what sends it back, and the ends that hundreds of schedules must have led to. */
const operations = [
  ["a migration", migrate, serving, fails, all],
  ["a first deploy", deploy, empty, fails, all],
  ["a deploy after another one", deploy, stopped, fails, all],
  ["a stop", stop, aiming("stop", serving), crashes, seldomHalted],
  ["a start", start, aiming("start", resting), fails, all],
  ["a delete", deleteServing, aiming("delete", serving), crashes, seldomHalted],
  ["a delete of what is stopped", deleteStopped, aiming("delete", resting), null, seldomHalted],
] as const;

for (const [name, saga, begin, back, ends] of operations) {
  const courses = [
    ["committed", {}, await play(saga, begin, {})],
    ...(back === null ? [] : [["rolled-back", back, await play(saga, begin, back)] as const]),
  ] as const;

  describe.each(courses)(`${name} that ends %s`, (state, schedule, course) => {
    it("keeps the promises when nothing goes wrong", () => {
      expect(course).toMatchObject({ end: { state }, lives: 1, broken: [] });
    });

    it.each(["killed-before", "killed-after"] as const)(
      "ends so, with every effect once, when the process is %s any call",
      async (kind) => {
        for (const [index, call] of course.calls.entries()) {
          const ports = new Map([[index + 1, { kind }]]);
          const { end, lives, broken, world } = await play(saga, begin, { ...schedule, ports });
          expect({ call, state: end.state, lives, broken }).toEqual({ call, state, lives: 2, broken: [] });
          for (const who of ["source", "target"] as const)
            expect([call, who, world[who].effects]).toEqual([call, who, course.world[who].effects]);
        }
      },
    );

    it.each(["fails", "answer-lost", "late"] as const)(
      "keeps the promises, and does not halt, when any call %s",
      async (kind) => {
        for (const [index, call] of course.calls.entries())
          for (const afterCalls of kind === "late" ? [1, 9, 1_000] : [0]) {
            const ports = new Map([[index + 1, { kind, afterCalls }]]);
            const { end, broken } = await play(saga, begin, { ...schedule, ports });
            const at = { call, afterCalls };
            expect({ ...at, broken }).toEqual({ ...at, broken: [] });
            expect({ ...at, ...end }).not.toMatchObject({ state: "halted" });
          }
      },
    );
  });

  it(`${name} keeps the promises under schedules of several crashes, failures, deaths and late effects`, async () => {
    const seen = { committed: 0, "rolled-back": 0, halted: 0 };
    await fc.assert(
      fc.asyncProperty(schedules, async (schedule) => {
        const { end, broken } = await play(saga, begin, schedule);
        seen[end.state] += 1;
        expect(broken).toEqual([]);
      }),
      { numRuns: 300, seed: 11 },
    );
    for (const state of ends) expect(seen[state]).toBeGreaterThan(2);
  });
}

/** Every strategy, with and without a fence, cold and warm; `STRATEGY_RUNS` for more than fits in every run of the tests. */
describe.each([
  ["a migration", migrate],
  ["a cold migration", migrateCold],
] as const)("%s by any strategy", (_name, saga) => {
  it("keeps the promises, aborted or not, with a source that may be away", async () => {
    const seen = { committed: 0, "rolled-back": 0, halted: 0 };
    let fenced = 0;
    await fc.assert(
      fc.asyncProperty(strategicSchedules, async (schedule) => {
        const { end, broken, world } = await play(saga, serving, schedule);
        seen[end.state] += 1;
        if (end.state === "committed" && world.records.receipts.length === 0) fenced += 1;
        expect(broken).toEqual([]);
      }),
      { numRuns: Number(process.env["STRATEGY_RUNS"] ?? "800"), seed: 12 },
    );
    for (const count of [...Object.values(seen), fenced]) expect(count).toBeGreaterThan(2);
  }, 120_000);
});
