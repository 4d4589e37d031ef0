import type { TestCase, TestModule, TestSuite } from "vitest/node";
import type { NeededPart } from "./needed-part.ts";

/** A suite or test that was skipped because a part it declares is not there. */
export interface NotRun extends NeededPart {
  readonly name: string;
}

/** What a whole run came to, in tests; a file or suite that broke outside its tests counts as one failure. */
export interface RunReport {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly notRun: readonly NotRun[];
}

/**
 * Counts a finished run.
 *
 * @param unhandledErrors errors that no test caught; each is a failure, since vitest fails the run for them
 */
export function reportRun(modules: readonly TestModule[], unhandledErrors: number): RunReport {
  const suites = modules.flatMap((module) => [module, ...module.children.allSuites()]);
  const tests = modules.flatMap((module) => [...module.children.allTests()]);
  const inState = (state: string): number => tests.filter((test) => test.result().state === state).length;
  const brokenSuites = suites.filter((suite) => suite.errors().length > 0).length;
  return {
    passed: inState("passed"),
    failed: inState("failed") + brokenSuites + unhandledErrors,
    skipped: inState("skipped"),
    notRun: modules.flatMap((module) => [...module.children].flatMap(findNotRun)),
  };
}

/**
 * The last lines of a run: one for each part that was missing, then the counts alone on a line.
 *
 * @param partsRequired true in CI, where each missing part is one failure more
 */
export function formatReport(report: RunReport, partsRequired: boolean): string {
  const missing = report.notRun.map(
    ({ name, part, reason }) => `not run: ${name} (needs ${part}: ${reason})`,
  );
  const failed = report.failed + (partsRequired ? requiredParts(report).length : 0);
  const counts = [`${report.passed} passed`, `${failed} failed`];
  if (report.skipped > 0) counts.push(`${report.skipped} skipped`);
  return [...missing, counts.join(", ")].join("\n");
}

/** Those that a run in CI must have. */
export const requiredParts = ({ notRun }: RunReport): readonly NotRun[] =>
  notRun.filter(({ nowhere }) => nowhere !== true);

function findNotRun(task: TestCase | TestSuite): NotRun[] {
  const needs = task.meta().needs;
  if (needs !== undefined && isSkipped(task) && !isInherited(needs, task)) {
    return [{ name: task.fullName, ...needs }];
  }
  return task.type === "suite" ? [...task.children].flatMap(findNotRun) : [];
}

function isSkipped(task: TestCase | TestSuite): boolean {
  return (task.type === "suite" ? task.state() : task.result().state) === "skipped";
}

/** Vitest copies a suite's meta to everything in it: there the part is present, and the skip has another cause. */
function isInherited(needs: NeededPart, task: TestCase | TestSuite): boolean {
  const above = task.parent.meta().needs;
  return above?.part === needs.part && above.reason === needs.reason;
}
