import { setTimeout as delay } from "node:timers/promises";
import { AppError, agentStatusSchema, parseAs } from "@baton/protocol";
import { callLocally } from "../local-call.ts";
import { readLocalArguments } from "./local-arguments.ts";

interface Stopped {
  readonly key: string | null;
  readonly outcome: string | null;
  readonly evidenceClass: string | null;
  readonly remaining: readonly string[];
}

const answerMs = 5_000;
const pollMs = 20;

/** Stops the application of the agent beside us by the ordinary path. Exit status 0 when it is gone; 1 when it is not, or that is not known. */
export async function stop(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): Promise<void> {
  const { values, stateDirectory } = readLocalArguments(
    args,
    environment,
    { wait: { type: "boolean" }, "deadline-ms": { type: "string" } },
    "stop takes --wait, --deadline-ms N",
  );
  const deadlineMs = Number(values["deadline-ms"] ?? "60000");
  if (!Number.isInteger(deadlineMs) || deadlineMs <= 0)
    throw new AppError("invalid-configuration", "cannot stop: --deadline-ms takes a whole number above 0");
  const path = `/stop?deadlineMs=${deadlineMs}`;
  const call = callLocally({ stateDirectory, method: "POST", path, timeoutMs: deadlineMs + answerMs });
  if (values.wait !== true) {
    // The agent goes on when we leave; but it must have begun.
    await Promise.race([call, hasBegun(stateDirectory)]);
    process.stdout.write("the stop is under way; see baton-agent status\n");
    process.exit(0);
  }
  const { key, outcome, evidenceClass, remaining } = (await call) as Stopped;
  if (outcome === null) {
    process.stdout.write("there is nothing to stop\n");
    return;
  }
  process.stdout.write(`${outcome} (${evidenceClass ?? "unknown"}), receipt ${key ?? ""}\n`);
  for (const line of remaining) process.stdout.write(`  ${line}\n`);
  if (evidenceClass === "unknown") process.exitCode = 1;
}

const restingStates: readonly string[] = ["held", "starting", "running", "refused"];

/** @throws AppError `deadline-exceeded` when the agent has not begun in five seconds; `agent-unreachable` */
async function hasBegun(stateDirectory: string): Promise<void> {
  for (const endAt = performance.now() + answerMs; performance.now() < endAt; await delay(pollMs)) {
    const answer = await callLocally({ stateDirectory, method: "GET", path: "/status", timeoutMs: answerMs });
    const { state } = parseAs(agentStatusSchema, answer, "the agent's status", "agent-failed");
    if (!restingStates.includes(state)) return;
  }
  throw new AppError("deadline-exceeded", "cannot tell whether the stop began; ask baton-agent status");
}
