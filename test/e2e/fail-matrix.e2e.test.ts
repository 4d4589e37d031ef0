/*
 * P1, P2, P3: each step of a migration fails. Before the point of no return the application serves again where it was, in the same placement;
 * after it the operation goes on to its end. Nothing is lost, and every effect is received exactly once (rule 20).
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { migrate } from "@baton/migration";
import type { Harbour } from "@baton/example-ledger/demo";
import type { Operation } from "@baton/protocol";
import { describe, expect, it } from "vitest";
import { courses } from "./course.ts";
import { useJourney } from "./use-journey.ts";

const pivot = migrate.steps.findIndex((step) => step.pivot);
const cases = migrate.steps.flatMap(({ name }, at) => [
  { step: name, moment: "after", end: at < pivot ? "rolled-back" : "committed" },
  { step: name, moment: "before", end: at <= pivot ? "rolled-back" : "committed" },
]);
const undone = migrate.steps.flatMap(({ name, undo }) => (undo === undefined ? [] : [{ step: name }]));

describe("a migration with a step that fails", () => {
  const journey = useJourney();
  const seenCourses = new Set<string>();

  it.for(cases)("at $step, $moment its effect, ends $end", async ({ step, moment, end }) => {
    const { operation, course } = await journey.move(`fail@migrate.${step}:${moment}`);
    seenCourses.add(course);
    expect(operation.state).toBe(end);
    expect(operation.steps.find(({ name }) => name === step)?.state).not.toBe("pending");
    expect(operation.reason).toEqual(end === "committed" ? null : expect.stringContaining(`${step} failed`));
  });

  it.for(undone)("is taken back though the orchestrator is killed in the undo of $step", async ({ step }) => {
    const key = keyThatIsRevoked();
    try {
      const { operation, course, kills } = await journey.move(`kill@migrate.${step}:undo`, (...seen) =>
        key.watch(...seen),
      );
      seenCourses.add(course);
      expect(operation.reason).toContain("start failed");
      expect(kills).toBe(1);
    } finally {
      key.restore();
    }
  });

  it("was taken back from every place where a migration can be", () => {
    expect([...seenCourses].toSorted()).toEqual(Object.keys(courses).toSorted());
  });

  it("has lost nothing after all of them", async () => {
    expect(await journey.arrive()).toBeGreaterThan(cases.length * 10);
  });
});

/** The target's key turns wrong between the probe and the start: a failure that is not planted, so that the planted one is free for its undo. */
function keyThatIsRevoked() {
  let restore: (() => void) | undefined;
  return {
    watch({ steps, to }: Operation, { directory }: Harbour): void {
      if (restore !== undefined || steps.find(({ name }) => name === "prepare")?.state === "pending") return;
      const file = join(directory, `${to}.key.json`);
      const content = readFileSync(file, "utf8");
      writeFileSync(file, JSON.stringify({ ...(JSON.parse(content) as object), secretAccessKey: "revoked" }));
      restore = () => writeFileSync(file, content);
    },
    restore: () => restore?.(),
  };
}
