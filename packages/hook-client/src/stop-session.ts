import {
  type AgentOperation,
  type AgentStatus,
  type Run,
  agentOperationSchema,
  agentStatusSchema,
  parseAs,
} from "@baton/protocol";
import { type AgentAddress, type AgentCall, callAgent } from "./agent-request.ts";

/** One stop's conversation with an agent, under one deadline. All answers are parsed; failed tries are repeated. */
export interface StopSession {
  /** In whole ms, 0 at the lowest. */
  leftMs(reservedMs?: number): number;
  status(): Promise<AgentStatus>;
  /** At most `waitMs` later, or once it is not open any more. */
  operation(key: string, waitMs: number): Promise<AgentOperation>;
  /** Tries until `reserveMs` before the end, and gives the agent the time until then, however late it hears of the stop. */
  stop(command: StopCommand): Promise<AgentOperation>;
}

interface StopCommand {
  readonly key: string;
  readonly operation: string;
  readonly run: Run;
  readonly epoch: number;
  readonly reserveMs: number;
}

export function openSession(params: {
  readonly address: AgentAddress;
  readonly deadlineMs: number;
  readonly signal: AbortSignal | undefined;
}): StopSession {
  const { address, deadlineMs, signal } = params;
  const endAt = performance.now() + deadlineMs;
  /** How long one answer may take: a lost one must leave time for others. */
  const patienceMs = Math.min(10_000, Math.max(500, deadlineMs / 5));
  const leftMs = (reservedMs = 0): number => Math.max(0, Math.floor(endAt - performance.now() - reservedMs));
  const until = (ms: number): AbortSignal =>
    AbortSignal.any([AbortSignal.timeout(ms), ...(signal === undefined ? [] : [signal])]);
  const whole = until(deadlineMs);
  const read = (path: string, waitMs = 0): Promise<unknown> =>
    callAgent(address, {
      method: "GET",
      path,
      command: { kind: "read" },
      epoch: 0,
      answerMs: waitMs + patienceMs,
      signal: whole,
    });
  const operationOf = (answer: unknown): AgentOperation =>
    parseAs(agentOperationSchema, answer, "the agent's operation", "agent-failed");

  return {
    leftMs,
    async status() {
      return parseAs(agentStatusSchema, await read("/v1/status"), "the agent's status", "agent-failed");
    },
    async operation(key, waitMs) {
      return operationOf(await read(`/v1/operations/${key}?waitMs=${waitMs}`, waitMs));
    },
    async stop({ epoch, reserveMs, ...command }) {
      const call: AgentCall = {
        method: "POST",
        path: "/v1/stop",
        command: () => ({ kind: "stop", ...command, deadlineMs: Math.max(1, leftMs(reserveMs)) }),
        epoch,
        answerMs: patienceMs,
        signal: until(leftMs(reserveMs)),
      };
      return operationOf(await callAgent(address, call));
    },
  };
}
