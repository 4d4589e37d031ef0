import type { AgentState, Hook, Waiting } from "@baton/protocol";
import type { Deadline } from "./deadline.ts";

/** What the agent waits for, in words; null when for nothing but a command. */
export function describeWait(params: {
  readonly state: AgentState;
  /** ISO 8601: when this start or stop began. */
  readonly since: string;
  readonly deadline: Deadline | null;
  readonly hook: Hook;
}): Waiting | null {
  const { state, since, deadline, hook } = params;
  const until = deadline === null ? null : new Date(Date.now() + deadline.leftMs()).toISOString();
  const words = wordsOf(state, hook);
  return words === null ? null : { ...words, since, until };
}

function wordsOf(state: AgentState, hook: Hook): Pick<Waiting, "for" | "next"> | null {
  const last = hook.killAllowed
    ? "SIGKILL for what is left"
    : "the stop is refused, and the application serves on";
  switch (state) {
    case "starting":
      return { for: "the application to be ready", next: "it is stopped again if it is not in time" };
    case "draining":
      return { for: "clients to leave", next: hook.quiesce === null ? hook.signal : "the quiesce command" };
    case "quiescing":
      return { for: "the quiesce command", next: hook.signal };
    case "stopping":
    case "verifying":
      return { for: "the whole process tree to be gone", next: `if it is not: ${last}` };
    case "unknown":
      return {
        for: "what is left of the application, or what hides it",
        next: "nothing by itself: send a stop, or look at what the receipt says is left",
      };
    default:
      return null;
  }
}
