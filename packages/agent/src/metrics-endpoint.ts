import type { AgentState, Outcome } from "@baton/protocol";
import type { AgentContext } from "./agent-context.ts";
import type { Metrics, Snapshot } from "./metrics.ts";
import { processMetrics, zombieMetrics } from "./metrics-process.ts";
import { type Metric, formatMetrics } from "./metrics-text.ts";
import { agentVersion } from "./version.ts";

/** Anybody may ask, so the work is done once a second at most. */
const freshMs = 1_000;

/** The text of `/metrics`. Asks no store and no lock: what is told is what is known already. */
export function createMetricsText(
  context: AgentContext,
  metrics: Metrics,
  snapshot: () => Snapshot,
): () => Promise<string> {
  let last: { readonly at: number; readonly text: Promise<string> } | null = null;
  const make = async (): Promise<string> =>
    formatMetrics([
      ...agentMetrics(context, snapshot()),
      ...countedMetrics(context, metrics),
      ...operationMetrics(context),
      ...(await zombieMetrics()),
      ...processMetrics(),
    ]);
  return () => {
    if (last === null || performance.now() - last.at > freshMs)
      last = { at: performance.now(), text: make() };
    return last.text;
  };
}

const states = Object.keys({
  held: 0,
  starting: 0,
  running: 0,
  draining: 0,
  quiescing: 0,
  stopping: 0,
  verifying: 0,
  stopped: 0,
  refused: 0,
  crashed: 0,
  unknown: 0,
} satisfies Record<AgentState, 0>);
/** Of a stop; counted from 0, so that the first one is an increase. */
const outcomes: readonly Outcome[] = [
  "graceful",
  "forced",
  "refused",
  "already-stopped",
  "crashed-during-stop",
  "unknown",
];

const gauge = (name: string, help: string, ...samples: Metric["samples"]): Metric => ({
  name: `baton_agent_${name}`,
  type: "gauge",
  help,
  samples,
});
const counter = (name: string, help: string, samples: Metric["samples"]): Metric => ({
  name: `baton_agent_${name}_total`,
  type: "counter",
  help,
  samples,
});
const seconds = (ms: number): number => ms / 1_000;

function agentMetrics({ config }: AgentContext, { state, epoch, ready, open }: Snapshot): Metric[] {
  const { placement, application } = config;
  return [
    gauge("info", "Version of the agent, and what it stands beside.", {
      labels: { version: agentVersion, placement, application },
      value: 1,
    }),
    gauge(
      "state",
      "1 for the state that the agent is in.",
      ...states.map((name) => ({
        labels: { state: name },
        value: name === state ? 1 : 0,
      })),
    ),
    gauge("ready", "Whether the application answered its readiness path.", { value: Number(ready) }),
    gauge("open", "Whether clients are let in.", { value: Number(open) }),
    gauge("epoch", "Highest epoch of an accepted command.", { value: epoch }),
  ];
}

function countedMetrics({ journal }: AgentContext, { counts }: Metrics): Metric[] {
  const { renewals, lastRenewal, stops, refusals } = counts;
  const lastStop = counts.lastStop ?? journal.facts.run?.end ?? null;
  const phases = new Map<string, number>();
  for (const { phase, ms } of lastStop?.phases ?? []) phases.set(phase, (phases.get(phase) ?? 0) + ms);
  const stopMs = lastStop?.timings.stopMs ?? null;
  const isKnown = lastRenewal !== null;
  return [
    gauge(
      "lease_reachable",
      "Whether the store answered the last renewal of the lease.",
      ...(isKnown ? [{ value: Number(lastRenewal !== "failed") }] : []),
    ),
    gauge(
      "lease_lost",
      "Whether the lease names somebody else.",
      ...(isKnown ? [{ value: Number(lastRenewal === "lost") }] : []),
    ),
    counter(
      "lease_renewals",
      "Renewals of the lease by result.",
      Object.entries(renewals).map(([result, value]) => ({ labels: { result }, value })),
    ),
    counter(
      "stops",
      "Stops that ended, by outcome.",
      outcomes.map((outcome) => ({ labels: { outcome }, value: stops.get(outcome) ?? 0 })),
    ),
    gauge(
      "last_stop_duration_seconds",
      "From the first signal of the last stop until the whole tree was gone.",
      ...(stopMs === null ? [] : [{ value: seconds(stopMs) }]),
    ),
    gauge(
      "last_stop_phase_duration_seconds",
      "Phases of the last stop.",
      ...[...phases].map(([phase, ms]) => ({ labels: { phase }, value: seconds(ms) })),
    ),
    counter(
      "commands_refused",
      "Commands that were refused, by code of the error table.",
      [...refusals].map(([code, value]) => ({ labels: { code }, value })),
    ),
  ];
}

function operationMetrics({ config, journal }: AgentContext): Metric[] {
  const written = Object.values(journal.facts.operations).filter(
    ({ progress }) => progress.state === "receipt",
  );
  const count = (isSo: (record: (typeof written)[number]) => boolean): number => written.filter(isSo).length;
  return [
    gauge("receipts_unconfirmed", "Receipts that the orchestrator has not confirmed yet.", {
      value: count(({ confirmation }) => confirmation === "pending"),
    }),
    gauge(
      "receipts_uncopied",
      "Receipts that are not in the bucket yet.",
      ...(config.storage === null ? [] : [{ value: count(({ copy }) => copy === "pending") }]),
    ),
  ];
}
