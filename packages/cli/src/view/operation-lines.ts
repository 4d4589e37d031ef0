import type { Operation, OperationState, StepRecord, StepState } from "@baton/protocol";
import { type Paint, fit, formatMs, oneLine, plain } from "./text.ts";

export interface LinesOptions {
  /** Columns of the terminal. */
  readonly width: number;
  /** Wall clock in ms, for what is still running. */
  readonly now: number;
  /** Counts up from frame to frame and turns the spinner. */
  readonly frame?: number | undefined;
  readonly paint?: Paint | undefined;
}

const spinner = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"] as const;
const icons = {
  pending: "·",
  running: "",
  done: "✔",
  failed: "✖",
  undoing: "",
  undone: "↶",
  "undo-failed": "✖",
} as const satisfies Record<StepState, string>;
const colors = {
  pending: "dim",
  running: "cyan",
  done: "green",
  failed: "red",
  undoing: "yellow",
  undone: "yellow",
  "undo-failed": "red",
} as const satisfies Record<StepState, string>;
const ends = { open: "", committed: "committed", "rolled-back": "rolled back", halted: "halted" } as const;
const endColors = {
  open: "cyan",
  committed: "green",
  "rolled-back": "yellow",
  halted: "red",
} as const satisfies Record<OperationState, string>;
const pivotMark = "┃ point of no return";

/** How a state is called where the icon alone does not say it. */
export const stepWords: Readonly<Partial<Record<StepState, string>>> = {
  failed: "failed",
  undoing: "taking back",
  undone: "taken back",
  "undo-failed": "undo failed",
};

/** "migrate ledger harbor-a → harbor-b", "stop ledger on harbor-a". */
export const titleOf = (operation: Operation): string =>
  `${operation.kind} ${operation.application} ${placeOf(operation)}`;

/** "harbor-a → harbor-b", "→ harbor-b", or "on harbor-a" where nothing moves. */
export function placeOf({ kind, from, to }: Operation): string {
  if (kind === "deploy" || kind === "migrate") return `${from === null ? "" : `${from} `}→ ${to}`;
  return `on ${to ?? from}`;
}

/** Since when the operation runs, or ran, in ms. */
export function elapsedMs(operation: Operation, now: number): number {
  const end = operation.endedAt === null ? now : Date.parse(operation.endedAt);
  return Math.max(0, end - Date.parse(operation.createdAt));
}

/**
 * The whole record as it stands: a title, one line a step, a bar, and the reason once something is taken back. No line is wider than
 * `width` characters.
 */
export function renderOperation(operation: Operation, options: LinesOptions): readonly string[] {
  const { width, paint = plain } = options;
  const nameWidth = Math.max(...operation.steps.map(({ name }) => name.length), 0);
  const title = fit(titleOf(operation), width);
  const id = fit(operation.id, width - title.length - 2);
  const lines = [
    paint("bold", title) + (id === "" ? "" : `  ${paint("dim", id)}`),
    ...operation.steps.map((step) => stepLine(step, nameWidth, options)),
    barLine(operation, options),
  ];
  if (operation.reason !== null) lines.push(paint("yellow", fit(`  ${oneLine(operation.reason)}`, width)));
  return lines;
}

function stepLine(
  step: StepRecord,
  nameWidth: number,
  { width, now, frame = 0, paint = plain }: LinesOptions,
): string {
  const running = step.state === "running" && step.startedAt !== null;
  const ms = running ? Math.max(0, now - Date.parse(step.startedAt ?? "")) : step.ms;
  const icon = icons[step.state] || (spinner[frame % spinner.length] ?? "");
  const duration = ms === null ? "" : formatMs(ms);
  const what = [stepWords[step.state], step.detail === null ? undefined : oneLine(step.detail)];
  const note = [step.pivot ? pivotMark : undefined, what.filter((part) => part !== undefined).join(": ")]
    .filter((part) => part !== undefined)
    .join("  ");
  const text = fit(
    `  ${icon} ${step.name.padEnd(nameWidth)}  ${duration.padStart(10)}  ${note}`.trimEnd(),
    width,
  );
  return paint(colors[step.state], text);
}

function barLine(operation: Operation, { width, now, paint = plain }: LinesOptions): string {
  const reached = reachedSteps(operation);
  const total = operation.steps.length;
  const takingBack = operation.state === "open" && operation.reason !== null;
  const state = takingBack ? "taking back" : ends[operation.state];
  const label = `${reached}/${total}  ${formatMs(elapsedMs(operation, now))}  ${state}`.trimEnd();
  const barWidth = Math.max(0, Math.min(40, width - label.length - 4));
  const filled = total === 0 ? 0 : Math.round((barWidth * reached) / total);
  const color = takingBack ? "yellow" : endColors[operation.state];
  const bar = paint(color, "━".repeat(filled)) + paint("dim", "╌".repeat(barWidth - filled));
  return fit(`  `, width) + bar + fit(`  ${label}`, Math.max(0, width - barWidth - 2));
}

/** How far it has come: grows with every step done, shrinks again while steps are taken back. */
export function reachedSteps({ state, steps }: Operation): number {
  if (state === "rolled-back") return 0;
  const back = steps.findIndex((step) => step.state === "undoing" || step.state === "undone");
  const done = steps.filter((step) => step.state === "done").length;
  return back === -1 ? done : back;
}
