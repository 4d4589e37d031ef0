import type { Finding } from "@baton/protocol";
import { type Paint, oneLine, plain, wrap } from "./text.ts";

export interface FindingLinesOptions {
  /** Columns of the terminal. */
  readonly width: number;
  readonly paint?: Paint | undefined;
}

const marks = { blocking: "✖", warning: "!", info: "·" } as const;
const colors = { blocking: "red", warning: "yellow", info: "dim" } as const;

/** One finding a paragraph: what was seen, then what it means and how to mend it. */
export const renderFindings = (
  findings: readonly Finding[],
  { width, paint = plain }: FindingLinesOptions,
): readonly string[] =>
  findings.flatMap(({ id, severity, detail, means, fix }) => [
    ...hanging(`${marks[severity]} ${id}: ${oneLine(detail)}`, 2, 4, width, (line) =>
      paint(colors[severity], line),
    ),
    ...hanging(oneLine(means), 6, 6, width, (line) => paint("dim", line)),
    ...hanging(`→ ${oneLine(fix)}`, 6, 8, width, (line) => line),
  ]);

/** "2 checks block it, 1 warning"; empty where nothing was found. */
export function countFindings(findings: readonly Finding[]): string {
  const count = (wanted: Finding["severity"]): number =>
    findings.filter(({ severity }) => severity === wanted).length;
  const [blocking, warnings, infos] = [count("blocking"), count("warning"), count("info")];
  return [
    blocking === 0 ? "" : `${blocking} ${blocking === 1 ? "check blocks" : "checks block"} it`,
    warnings === 0 ? "" : `${warnings} ${warnings === 1 ? "warning" : "warnings"}`,
    infos === 0 ? "" : `${infos} good to know`,
  ]
    .filter((part) => part !== "")
    .join(", ");
}

/** Wrapped lines, the first with its own indent. */
function hanging(
  text: string,
  first: number,
  others: number,
  width: number,
  color: (line: string) => string,
): readonly string[] {
  return wrap(text, width - others).map((line, n) => " ".repeat(n === 0 ? first : others) + color(line));
}
