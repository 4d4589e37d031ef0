import type { DowntimeLedger, Operation } from "@baton/protocol";
import { formatMs } from "./text.ts";

type Moments = readonly (readonly [string, keyof DowntimeLedger & `${string}At`])[];
const stopping: Moments = [
  ["stop sent", "stopSentAt"],
  ["drained", "drainedAt"],
  ["exited", "exitedAt"],
  ["confirmed", "confirmedAt"],
  ["fenced", "fencedAt"],
];
const starting: Moments = [
  ["granted", "grantedAt"],
  ["start sent", "startSentAt"],
  ["ready", "readyAt"],
  ["first write", "firstWriteAt"],
];
const committed: Moments = [["committed", "committedAt"]];
const momentsOf = {
  deploy: [...starting, ...committed],
  migrate: [...stopping, ...starting, ...committed],
  stop: [...stopping, ...committed],
  start: [...starting, ...committed],
  delete: [...stopping, ...committed],
} as const satisfies Record<Operation["kind"], Moments>;

/** Not every application drains, or has a canary that writes. */
const perhaps: ReadonlySet<keyof DowntimeLedger> = new Set(["drainedAt", "firstWriteAt"]);

/**
 * The downtime ledger as a table: each moment with its time of day (UTC), the ms since the one before and since the first. Nothing for an
 * operation without any moment. Moments come from two clocks (agent, orchestrator), so a difference can be below zero.
 */
export function renderLedger({ kind, ledger }: Pick<Operation, "kind" | "ledger">): readonly string[] {
  const moments = momentsOf[kind];
  const known = moments.flatMap(([, key]) => (ledger[key] === null ? [] : [Date.parse(ledger[key])]));
  const first = known[0];
  if (first === undefined) return [];
  let before = first;
  const rows = moments.flatMap(([name, key]) => {
    const text = ledger[key];
    if (text === null && perhaps.has(key)) return [];
    if (text === null) return row(name, "–", "", "");
    const at = Date.parse(text);
    const delta = at - before;
    before = at;
    return row(name, new Date(at).toISOString().slice(11, 23), signed(delta), String(at - first));
  });
  const { applicationStopMs: stop, applicationStartMs: start } = ledger;
  const application = [
    ...(stop === null ? [] : [`stopped in ${formatMs(stop)}`]),
    ...(start === null ? [] : [`started in ${formatMs(start)}`]),
  ];
  return [
    row("downtime ledger", "at (UTC)", "step ms", "sum ms"),
    ...rows,
    ...(application.length === 0 ? [] : [`  the application ${application.join(", ")}`]),
  ];
}

const signed = (ms: number): string => (ms > 0 ? `+${ms}` : String(ms));

function row(name: string, at: string, delta: string, sum: string): string {
  return `  ${name.padEnd(15)}  ${at.padEnd(12)}  ${delta.padStart(8)}  ${sum.padStart(8)}`.trimEnd();
}
