import type { Plan, PlannedHandover, PlannedStep } from "@baton/protocol";
import { type FindingLinesOptions, countFindings, renderFindings } from "./finding-lines.ts";
import { fit, formatMs, plain, wrap } from "./text.ts";

const passes = {
  "at once": "the lease passes on",
  fence: "the lease passes on behind the fence",
  never: "taken back",
} as const satisfies Record<PlannedHandover["passes"], string>;

/** What would be done, what speaks against it, and how to have exactly that. No line is wider than the terminal but the command at the end. */
export function renderPlan(plan: Plan, options: FindingLinesOptions): readonly string[] {
  const { width, paint = plain } = options;
  const { findings, steps, handover, hash } = plan;
  const heading = (text: string): string => paint("bold", text);
  const found = countFindings(findings);
  return [
    heading(fit(titleOf(plan), width)),
    ...(findings.length === 0
      ? [paint("green", "  ✔ nothing speaks against it")]
      : [...renderFindings(findings, options), `  ${found}`]),
    "",
    heading("steps"),
    ...stepLines(steps, options),
    ...wrap(durationOf(plan), width - 2).map((line) => `  ${line}`),
    ...(handover.length === 0
      ? []
      : ["", heading("if the stop is"), ...handover.flatMap((one) => handoverLines(one, options))]),
    "",
    heading(`plan ${hash}`),
    ...(findings.some(({ severity }) => severity === "blocking") ? [] : [`  ${commandOf(plan)}`]),
  ];
}

const titleOf = ({ kind, application, from, to, strategy, cold }: Plan): string => {
  const places = [from, to].filter((place) => place !== null).join(" → ");
  const how = [strategy === null ? "" : `strategy ${strategy}`, cold ? "cold" : ""].filter(
    (part) => part !== "",
  );
  return `${kind} ${application} ${from === null && to !== null ? "→ " : ""}${places}${how.length === 0 ? "" : `  (${how.join(", ")})`}`;
};

function stepLines(
  steps: readonly PlannedStep[],
  { width, paint = plain }: FindingLinesOptions,
): readonly string[] {
  const nameWidth = Math.max(...steps.map(({ name }) => name.length));
  const rows = steps.map(({ name, pivot, deadlineMs, undoMs }, n) => {
    const note = pivot ? "┃ point of no return" : undoMs === null ? "" : `taken back in ${formatMs(undoMs)}`;
    const number = String(n + 1).padStart(2);
    const text = `  ${number} ${name.padEnd(nameWidth)}  at most ${formatMs(deadlineMs).padStart(11)}  ${note}`;
    return { pivot, text: fit(text.trimEnd(), width) };
  });
  return rows.map(({ pivot, text }) => (pivot ? paint("bold", text) : text));
}

function durationOf({ longestMs, expectedDowntimeMs }: Plan): string {
  const last =
    expectedDowntimeMs === null ? "" : `; the last move was ${formatMs(expectedDowntimeMs)} of downtime`;
  return `${formatMs(longestMs)} if every step takes all of its time${last}`;
}

function handoverLines(
  { outcome, evidenceClass, passes: how, possibleLoss, reason }: PlannedHandover,
  { width, paint = plain }: FindingLinesOptions,
): readonly string[] {
  const loss = possibleLoss ? ", with possible loss" : "";
  const text = `${outcome === evidenceClass ? outcome : `${outcome}, ${evidenceClass}`}: ${passes[how]}${loss}${reason === null ? "" : `: ${reason}`}`;
  const color = how === "never" ? "dim" : possibleLoss ? "yellow" : "green";
  return wrap(text, width - 4).map((line, n) => (n === 0 ? "  " : "    ") + paint(color, line));
}

/** By which exactly this is done, or refused. */
const commandOf = ({ kind, application, to, strategy, cold, hash }: Plan): string =>
  [
    `baton ${kind} ${application}`,
    ...(to === null ? [] : [`--to ${to}`]),
    ...(strategy === null ? [] : [`--strategy ${strategy}`]),
    ...(cold ? ["--cold"] : []),
    `--plan ${hash}`,
  ].join(" ");
