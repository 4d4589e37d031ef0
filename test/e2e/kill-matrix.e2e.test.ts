/*
 * P1, P2, P3: the orchestrator dies by SIGKILL in the middle of each step of a migration and is started again. The operation ends, there is one
 * writer at any time, nothing is lost, and every effect is received exactly once (rule 20).
 */
import { migrate } from "@baton/migration";
import { describe, expect, it } from "vitest";
import { useJourney } from "./use-journey.ts";

const cases = migrate.steps.flatMap(({ name }) => [
  { step: name, moment: "after" },
  { step: name, moment: "before" },
]);

describe("a migration whose orchestrator is killed", () => {
  const journey = useJourney();

  it.for(cases)("at $step, $moment its effect, ends safely", async ({ step, moment }) => {
    const { kills } = await journey.move(`kill@migrate.${step}:${moment}`);
    expect(kills).toBe(1);
  });

  it("has lost nothing after all of them", async () => {
    expect(await journey.arrive()).toBeGreaterThan(cases.length * 10);
  });
});
