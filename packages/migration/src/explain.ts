import type { Explanation, Operation } from "@baton/protocol";
import type { DeployInput } from "./ports.ts";
import type { Saga } from "./saga.ts";
import { answerReserveMs, stopBudgetMs } from "./stop-times.ts";

/** What each step waits for, in words. */
const waits: Readonly<Record<string, string>> = {
  preflight: "the checks of source, target, lease and storage",
  claim: "the store to take the application's claim of its prefix",
  prepare: "the target's agent to be up, held, with the bucket in sight",
  stop: "the application to stop, and its agent's signed receipt",
  fence: "the store to take nothing more of the source",
  release: "the lease to say that nobody runs",
  handOver: "the store to take the lease that names the target",
  start: "the application to become ready on the target",
  verify: "the checks of the started application",
  commit: "the records to name the target, and its agent to let clients in",
  retire: "the source to be removed",
};

type Told = Pick<Explanation, "waitsFor" | "since" | "until" | "next" | "actions">;

/** What an operation waits for, since when, until when, what happens then, and what a person can do: from its record alone. */
export function explain(
  operation: Operation,
  table: Pick<Saga<never, never>, "steps">,
  input: DeployInput,
): Told {
  const actions = actionsOn(operation);
  if (operation.state === "halted")
    return {
      waitsFor: "a person's decision",
      since: operation.endedAt,
      until: null,
      next: `nothing, and the application's lock is kept: ${operation.reason ?? "no reason was recorded"}`,
      actions,
    };
  if (operation.state !== "open")
    return { waitsFor: null, since: null, until: null, next: outcomeOf(operation), actions };
  const current = operation.steps.findLast(({ state }) => state === "running" || state === "undoing");
  const step = table.steps.find(({ name }) => name === current?.name);
  if (current === undefined || step === undefined)
    return { waitsFor: "its engine to go on", since: null, until: null, next: "its next step", actions };
  const isUndo = current.state === "undoing";
  const { deadlineMs } = step;
  const ownMs = typeof deadlineMs === "function" ? deadlineMs(input as never) : deadlineMs;
  const ms = step.confirm === undefined ? ownMs : stopBudgetMs(input) + answerReserveMs;
  return {
    waitsFor: isUndo ? `the undo of ${step.name}` : (waits[step.name] ?? step.name),
    since: current.startedAt,
    until:
      current.startedAt === null || isUndo
        ? null
        : new Date(Date.parse(current.startedAt) + ms).toISOString(),
    next: isUndo
      ? "what was done before it is taken back as well; where that fails for good, the operation halts"
      : afterStep(operation, table, step.name, input),
    actions,
  };
}

function afterStep(
  { course }: Operation,
  { steps }: Pick<Saga<never, never>, "steps">,
  name: string,
  input: DeployInput,
): string {
  const following = steps[steps.findIndex((step) => step.name === name) + 1];
  const well = following === undefined ? "the operation is committed" : `then ${following.name}`;
  if (course === "past-pivot")
    return `${well}; otherwise it is tried again, and after that the operation halts`;
  if (name !== "stop") return `${well}; otherwise everything is taken back`;
  const { strategy } = input.stop;
  return `${well}; otherwise ${
    {
      "give-up": "the stop is withdrawn, and the source is seen to serve on",
      force: "the stop is withdrawn, and the source is seen to serve on",
      halt: "a person decides",
      failover: "a source of which nothing is known is fenced; one that refuses serves on",
    }[strategy]
  }`;
}

const outcomeOf = ({ state, reason }: Operation): string =>
  state === "committed"
    ? "nothing: it is committed"
    : `nothing: it was taken back: ${reason ?? "no reason was recorded"}`;

function actionsOn({ id, state, course }: Operation): Told["actions"] {
  const command = (kind: string): string => `baton operation ${kind} ${id} --reason "…"`;
  const abort = { command: command("abort"), means: "take everything back: the source serves again" };
  const resume = { command: command("resume"), means: "try again what it is halted at" };
  const override = {
    command: command("override"),
    means:
      "go on without the evidence that is missing: you answer for it, by name and for ever, that nothing else writes",
  };
  if (state === "open") return course === "forward" ? [abort] : [];
  if (state !== "halted") return [];
  if (course === "past-pivot") return [resume];
  return course === "back" ? [resume, override] : [resume, abort, override];
}
