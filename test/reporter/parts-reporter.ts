import type { Reporter } from "vitest/node";
import { formatReport, reportRun, requiredParts } from "./run-report.ts";

/**
 * Ends the output of a run with the parts that were missing and the plain counts. In CI (`CI` set) a missing
 * part fails the run.
 *
 * Written when the process exits, because vitest prints its coverage table after the last reporter has spoken.
 */
export class PartsReporter implements Reporter {
  readonly onTestRunEnd: NonNullable<Reporter["onTestRunEnd"]> = (modules, unhandledErrors) => {
    const report = reportRun(modules, unhandledErrors.length);
    const partsRequired = isCi(process.env["CI"]);
    process.once("exit", () => {
      if (partsRequired && requiredParts(report).length > 0) process.exitCode = 1;
      process.stdout.write(`\n${formatReport(report, partsRequired)}\n`);
    });
  };
}

function isCi(value: string | undefined): boolean {
  return value !== undefined && value !== "" && value !== "0" && value !== "false";
}
