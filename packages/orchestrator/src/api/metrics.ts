import type { StorageView } from "@baton/protocol";
import { type Durations, type OperationMetrics, durationBounds } from "../records/operation-metrics.ts";

export interface MetricsSources {
  readonly operations: () => Promise<OperationMetrics>;
  readonly storages: () => Promise<readonly StorageView[]>;
  readonly replica: () => {
    readonly executor: string;
    readonly tenures: number;
    readonly takeovers: number;
  };
}

/** Prometheus text format 0.0.4. */
export const metricsContentType = "text/plain; version=0.0.4; charset=utf-8";
const databaseMs = 5_000;

/** Answers also without a database: that it is away is a metric, and what only it knows is left out. */
export async function renderMetrics(sources: MetricsSources): Promise<string> {
  const known = await inTime(Promise.all([sources.operations(), sources.storages()]));
  const { executor, tenures, takeovers } = sources.replica();
  const lines = [
    family("baton_database_up", "gauge", "Whether the database answered in time.", [
      [{}, known === null ? 0 : 1],
    ]),
    family("baton_replica_info", "gauge", "This replica.", [[{ executor }, 1]]),
    family(
      "baton_replica_tenures_total",
      "counter",
      "How often this replica got the lock that shows its life.",
      [[{}, tenures]],
    ),
    family("baton_replica_takeovers_total", "counter", "Operations taken over from dead replicas.", [
      [{}, takeovers],
    ]),
  ];
  if (known === null) return lines.join("");
  const [{ operations, oldestSeconds, steps, downtimes }, storages] = known;
  const oldest = Object.entries(oldestSeconds).flatMap(([state, seconds]) =>
    seconds === null ? [] : [[{ state }, seconds] as const],
  );
  return [
    ...lines,
    family(
      "baton_operations",
      "gauge",
      "Operations on record.",
      operations.map(({ kind, state, count }) => [{ kind, state }, count]),
    ),
    family("baton_oldest_operation_seconds", "gauge", "Age of the oldest that has not ended.", oldest),
    histogram("baton_step_duration_seconds", "How long steps took.", steps),
    histogram("baton_downtime_seconds", "From the stop to the target's readiness.", downtimes),
    family(
      "baton_storage_fit",
      "gauge",
      "1: the newest probe found the storage fit; 0: it did not; left out before the first.",
      storages.flatMap(({ manifest, fitness }) =>
        fitness === "unknown" ? [] : [[{ storage: manifest.name }, fitness === "fit" ? 1 : 0] as const],
      ),
    ),
  ].join("");
}

async function inTime<T>(asked: Promise<T>): Promise<T | null> {
  const late = Promise.withResolvers<null>();
  const timer = setTimeout(() => late.resolve(null), databaseMs);
  try {
    return await Promise.race([asked.catch(() => null), late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

type Labels = Readonly<Record<string, string>>;
type Sample = readonly [Labels, number];

const head = (name: string, type: string, help: string): string =>
  `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;

function family(name: string, type: "gauge" | "counter", help: string, samples: readonly Sample[]): string {
  if (samples.length === 0) return "";
  return head(name, type, help) + samples.map((sample) => line(name, sample)).join("");
}

function histogram(name: string, help: string, observed: readonly Durations[]): string {
  if (observed.length === 0) return "";
  const lines = observed.flatMap(({ labels, atMost, count, sumSeconds }) => [
    ...durationBounds.map((bound, at) =>
      line(`${name}_bucket`, [{ ...labels, le: String(bound) }, atMost[at] ?? 0]),
    ),
    line(`${name}_bucket`, [{ ...labels, le: "+Inf" }, count]),
    line(`${name}_sum`, [labels, sumSeconds]),
    line(`${name}_count`, [labels, count]),
  ]);
  return head(name, "histogram", help) + lines.join("");
}

function line(name: string, [labels, value]: Sample): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escape(text)}"`);
  return `${name}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${value}\n`;
}

const escape = (text: string): string =>
  text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
