/** One measured figure; `reference` was measured in the same run, `target` is what the figure must not exceed. */
export interface Figure {
  readonly bench: string;
  readonly figure: string;
  readonly value: number | null;
  readonly unit: string;
  readonly reference: number | null;
  readonly ratio: number | null;
  readonly target: number | null;
  readonly ok: boolean;
}

export function median(values: readonly number[]): number | null {
  const sorted = values.toSorted((a, b) => a - b);
  const high = sorted[Math.floor(sorted.length / 2)];
  const low = sorted[Math.ceil(sorted.length / 2) - 1];
  return high === undefined || low === undefined ? null : (high + low) / 2;
}

export const printFigures = (figures: readonly Figure[]): string =>
  figures.map((figure) => `${JSON.stringify(figure)}\n`).join("");

export function printTable(figures: readonly Figure[]): string {
  const cell = (value: number | null): string =>
    value === null ? "–" : String(Math.round(value * 100) / 100);
  const rows = [
    ["figure", "value", "unit", "reference", "ratio", "target", ""],
    ...figures.map(({ figure, value, unit, reference, ratio, target, ok }) => [
      figure,
      cell(value),
      unit,
      cell(reference),
      cell(ratio),
      target === null ? "" : `≤ ${cell(target)}`,
      ok ? "ok" : "MISSED",
    ]),
  ];
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  const line = (row: readonly string[]) =>
    row.map((text, column) => text.padEnd(widths[column] ?? 0)).join("  ");
  return `${rows.map((row) => line(row).trimEnd()).join("\n")}\n`;
}
