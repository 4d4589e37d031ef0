/** One measured figure; `reference` was measured in the same run, `target` is what the figure must not exceed, or must reach. */
export interface Figure {
  readonly bench: string;
  readonly figure: string;
  readonly value: number | null;
  readonly unit: string;
  readonly reference: number | null;
  readonly ratio: number | null;
  readonly target: number | null;
  readonly ok: boolean;
  /** Whether `target` is about `ratio` instead of `value`. */
  readonly isRatio?: boolean;
  /** Whether `target` is the least instead of the most. */
  readonly isFloor?: boolean;
}

export function median(values: readonly number[]): number | null {
  const sorted = values.toSorted((a, b) => a - b);
  const high = sorted[Math.floor(sorted.length / 2)];
  const low = sorted[Math.ceil(sorted.length / 2) - 1];
  return high === undefined || low === undefined ? null : (high + low) / 2;
}

/** The value that 99 of 100 do not exceed. */
export function percentile99(values: readonly number[]): number | null {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.ceil(sorted.length * 0.99) - 1] ?? null;
}

/** A figure whose target is about the ratio to its reference. */
export function ratioFigure(params: {
  readonly bench: string;
  readonly figure: string;
  readonly value: number | null;
  readonly unit: string;
  readonly reference: number | null;
  readonly atMost: number;
}): Figure {
  const { atMost: target, ...rest } = params;
  const { value, reference } = rest;
  const ratio = value === null || reference === null || reference === 0 ? null : value / reference;
  return { ...rest, ratio, target, ok: ratio !== null && ratio <= target, isRatio: true };
}

/** A figure whose target is about the value itself. */
export function valueFigure(params: {
  readonly bench: string;
  readonly figure: string;
  readonly value: number | null;
  readonly unit: string;
  readonly reference?: number | null;
  readonly atMost: number | null;
}): Figure {
  const { atMost: target, reference = null, ...rest } = params;
  const { value } = rest;
  const ratio = value === null || reference === null || reference === 0 ? null : value / reference;
  return {
    ...rest,
    reference,
    ratio,
    target,
    ok: value !== null && (target === null || value <= target),
  };
}

/** A figure that must reach its target. */
export function floorFigure(params: {
  readonly bench: string;
  readonly figure: string;
  readonly value: number;
  readonly unit: string;
  readonly reference: number;
  readonly atLeast: number;
}): Figure {
  const { atLeast: target, ...rest } = params;
  const { value, reference } = rest;
  return { ...rest, ratio: value / reference, target, ok: value >= target, isFloor: true };
}

export const printFigures = (figures: readonly Figure[]): string =>
  figures.map((figure) => `${JSON.stringify(figure)}\n`).join("");

export function printTable(figures: readonly Figure[]): string {
  const cell = (value: number | null): string =>
    value === null ? "–" : String(Math.round(value * 100) / 100);
  const rows = [
    ["figure", "value", "unit", "reference", "ratio", "target", ""],
    ...figures.map(
      ({ figure, value, unit, reference, ratio, target, ok, isRatio = false, isFloor = false }) => [
        figure,
        cell(value),
        unit,
        cell(reference),
        cell(ratio),
        target === null ? "" : `${isFloor ? "≥" : "≤"} ${cell(target)}${isRatio ? " ×" : ""}`,
        ok ? "ok" : "MISSED",
      ],
    ),
  ];
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  const line = (row: readonly string[]) =>
    row.map((text, column) => text.padEnd(widths[column] ?? 0)).join("  ");
  return `${rows.map((row) => line(row).trimEnd()).join("\n")}\n`;
}
