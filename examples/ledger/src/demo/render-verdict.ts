import type { Verdict } from "./verdict.ts";

const ms = (value: number | null): string => (value === null ? "–" : `${Math.round(value)} ms`);

/** The last lines that a person reads. */
export function renderVerdict(verdict: Verdict): string {
  const { outcome, receipt, downtimeMs, appStopMs, appStartMs } = verdict;
  const overhead =
    downtimeMs === null || appStopMs === null || appStartMs === null
      ? null
      : downtimeMs - appStopMs - appStartMs;
  const lines: readonly (readonly [string, string])[] = [
    ["outcome", outcome + (verdict.reason === null ? "" : ` (${verdict.reason})`)],
    ["entries acknowledged", String(verdict.entriesAcknowledged)],
    ["  not yet in the bucket at the stop", String(verdict.entriesUnflushedAtStop ?? "–")],
    ["entries lost", String(verdict.entriesLost)],
    ["entries duplicated", String(verdict.entriesDuplicated)],
    ["overlapping writers", String(verdict.overlappingWriters)],
    ["epoch", `${verdict.epochBefore ?? "–"} → ${verdict.epochAfter ?? "–"}`],
    ["receipt", receipt === null ? "none" : `${receipt.outcome}, ${receipt.evidenceClass}`],
    ["downtime", ms(downtimeMs)],
    ["  of it the application's own stop and start", `${ms(appStopMs)} + ${ms(appStartMs)}`],
    ["  of it Baton", ms(overhead)],
    ...(verdict.orchestratorKills === 0
      ? []
      : [["orchestrator killed and started again", `${verdict.orchestratorKills} time(s)`] as const]),
  ];
  const width = Math.max(...lines.map(([name]) => name.length));
  const good = verdict.entriesLost === 0 && verdict.overlappingWriters === 0 && outcome !== "halted";
  return `\n${lines.map(([name, value]) => `  ${name.padEnd(width)}  ${value}\n`).join("")}\n${
    good ? "nothing was lost, and there was one writer at any time" : "THIS MOVE WAS NOT SAFE: see above"
  }\n`;
}
