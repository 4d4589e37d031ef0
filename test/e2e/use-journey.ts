import { afterAll, beforeAll, expect, onTestFailed } from "vitest";
import { type CourseName, courseOf, epochsRaised } from "./course.ts";
import { type Journey, type Move, openJourney } from "./journey.ts";

const openMs = 60_000;

/** A move that ended safely, and how it went. */
interface SafeMove extends Move {
  readonly course: CourseName;
}

/**
 * One journey for the tests of a file, since starting a harbour takes longer than a move. After a test that left it halted or broken the next one
 * gets another.
 */
export function useJourney() {
  let journey: Journey | undefined;
  const renew = async (): Promise<Journey> => {
    await journey?.close();
    journey = undefined;
    return (journey = await openJourney());
  };
  beforeAll(async () => {
    await renew();
  }, openMs);
  afterAll(async () => {
    await journey?.close();
  }, openMs);

  return {
    /** @throws when it did not end, or not as exactly one of the safe courses. */
    async move(...args: Parameters<Journey["move"]>): Promise<SafeMove> {
      const current = journey ?? (await renew());
      onTestFailed(async () => {
        process.stderr.write(`the orchestrator's last words:\n${await current.lastWords()}\n`);
        if (journey !== current) return;
        await current.close();
        journey = undefined;
      });
      const move = await current.move(...args);
      return { ...move, course: expectSafeEnd(move) };
    },
    /** Ends the journey. @returns how many entries were acknowledged on the way. @throws when it was not safe. */
    async arrive(): Promise<number> {
      const { acknowledged, ...wrong } = await (journey ?? (await renew())).arrive();
      expect(wrong).toEqual({
        lost: [],
        duplicated: [],
        overlapping: 0,
        rewrittenSegments: [],
        miscounted: [],
      });
      return acknowledged;
    },
  };
}

function expectSafeEnd({ operation, before, after, traces }: Move): CourseName {
  const { state, reason } = operation;
  const course = courseOf(traces);
  if (course === null || state === "halted")
    throw new Error(`this is no safe end: ${JSON.stringify({ state, reason, ...traces })}`);
  const { cluster, placement, epoch } = after;
  // Taken back means: in the very placement where it was, under a higher epoch when its application had been stopped.
  const place = course === "moved" ? { cluster: operation.to, placement: operation.target } : before;
  expect({ state, cluster, placement, epoch }).toEqual({
    state: course === "moved" ? "committed" : "rolled-back",
    cluster: place.cluster,
    placement: place.placement,
    epoch: before.epoch + epochsRaised(course),
  });
  return course;
}
