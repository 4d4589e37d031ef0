import {
  type AccessKey,
  type AgentOperation,
  type AgentStatus,
  type CheckResult,
  checkResultSchema,
  AppError,
  type Run,
  type ServedKey,
  type StartBody,
  type StartResult,
  agentOperationSchema,
  agentStatusSchema,
  bodySha256,
  fromProblem,
  isAppError,
  parseAs,
  servedKeySchema,
} from "@baton/protocol";
import { type AgentAddress, callAgent } from "./agent-request.ts";

const answerMs = 10_000;
/** The longest single poll; longer waits are made of several. */
const pollMs = 20_000;

interface Keyed {
  readonly key: string;
  readonly operation: string;
  readonly epoch: number;
}

/** Commands to one agent: trigger, wait, verify. Every call is idempotent by its key and ends by `signal` at the latest. */
export interface AgentClient {
  status(signal: AbortSignal): Promise<AgentStatus>;
  stop(
    command: Keyed & { readonly run: Run; readonly deadlineMs: number; readonly kill?: boolean | undefined },
    signal: AbortSignal,
  ): Promise<AgentOperation>;
  /** Sends the start with its environment and waits until the application is ready. @throws what the agent says went wrong. */
  start(
    command: Keyed & { readonly grant: string; readonly deadlineMs: number; readonly body: StartBody },
    signal: AbortSignal,
  ): Promise<StartResult>;
  /** Answers with the signed `never-started` receipt. */
  burn(command: Keyed & { readonly grant: string }, signal: AbortSignal): Promise<string>;
  withdraw(command: Keyed, signal: AbortSignal): Promise<AgentStatus>;
  open(
    command: { readonly operation: string; readonly epoch: number; readonly run: Run },
    signal: AbortSignal,
  ): Promise<AgentStatus>;
  /** Runs a check of the placement's configuration, by its place there. */
  check(
    command: {
      readonly operation: string;
      readonly epoch: number;
      readonly run: Run;
      readonly check: number;
      readonly timeoutMs: number;
    },
    signal: AbortSignal,
  ): Promise<CheckResult>;
  /** Has the run served this key from now on; asked again with the same one, tells how far it has come. */
  replaceKey(
    command: { readonly epoch: number; readonly run: Run; readonly key: AccessKey },
    signal: AbortSignal,
  ): Promise<ServedKey>;
  /** The signed receipt of a stop; null when the agent has none after `waitMs`. */
  receipt(
    params: { readonly key: string; readonly waitMs: number },
    signal: AbortSignal,
  ): Promise<string | null>;
}

export function createAgentClient(address: AgentAddress): AgentClient {
  const operation = async (key: string, waitMs: number, signal: AbortSignal): Promise<AgentOperation> => {
    const answer = await callAgent(address, {
      method: "GET",
      path: `/v1/operations/${key}?waitMs=${Math.floor(waitMs)}`,
      command: { kind: "read" },
      epoch: 0,
      answerMs: waitMs + answerMs,
      signal,
    });
    return parseAs(agentOperationSchema, answer, "the agent's operation", "agent-failed");
  };
  /** Polls until the operation ended; null when it is still open after `waitMs`. */
  const ended = async (key: string, waitMs: number, signal: AbortSignal) => {
    for (const deadline = performance.now() + waitMs; ;) {
      const left = Math.max(0, deadline - performance.now());
      const seen = await operation(key, Math.min(left, pollMs), signal);
      if (seen.state !== "open") return seen;
      if (left === 0) return null;
    }
  };
  const post = async (
    path: string,
    command: Parameters<typeof callAgent>[1]["command"],
    epoch: number,
    signal: AbortSignal,
    body?: string,
  ) => callAgent(address, { method: "POST", path, command, epoch, body, answerMs, signal });
  const accepted = (answer: unknown) =>
    parseAs(agentOperationSchema, answer, "the agent's operation", "agent-failed");
  const status = (answer: unknown) =>
    parseAs(agentStatusSchema, answer, "the agent's status", "agent-failed");

  return {
    async status(signal) {
      return status(
        await callAgent(address, {
          method: "GET",
          path: "/v1/status",
          command: { kind: "read" },
          epoch: 0,
          answerMs,
          signal,
        }),
      );
    },
    async stop({ epoch, ...command }, signal) {
      return accepted(await post("/v1/stop", { kind: "stop", ...command }, epoch, signal));
    },
    async start({ epoch, body, ...command }, signal) {
      const text = JSON.stringify(body);
      const { key, deadlineMs } = command;
      const first = accepted(
        await post(
          "/v1/start",
          { kind: "start", ...command, bodySha256: bodySha256(text) },
          epoch,
          signal,
          text,
        ),
      );
      const seen = first.state === "open" ? await ended(key, deadlineMs + answerMs, signal) : first;
      if (seen === null)
        throw new AppError(
          "application-not-ready",
          `cannot start ${address.placement}: not ready after ${deadlineMs} ms`,
        );
      if (seen.state === "failed") throw fromProblem(seen.problem);
      if (seen.state !== "started")
        throw new AppError(
          "agent-failed",
          `cannot start ${address.placement}: the agent answered about a ${seen.kind}`,
        );
      return seen.result;
    },
    async burn({ epoch, ...command }, signal) {
      const first = accepted(await post("/v1/burn", { kind: "burn", ...command }, epoch, signal));
      const seen = first.state === "open" ? await ended(command.key, answerMs, signal) : first;
      if (seen?.state === "failed") throw fromProblem(seen.problem);
      if (seen?.state !== "receipt")
        throw new AppError("agent-failed", `cannot burn the grant of ${address.placement}: no receipt`);
      return seen.receipt;
    },
    async withdraw({ epoch, ...command }, signal) {
      return status(await post("/v1/withdraw", { kind: "withdraw", ...command }, epoch, signal));
    },
    async open({ epoch, ...command }, signal) {
      return status(await post("/v1/open", { kind: "open", ...command }, epoch, signal));
    },
    async check({ epoch, timeoutMs, ...rest }, signal) {
      const answer = await callAgent(address, {
        method: "POST",
        path: "/v1/check",
        command: { kind: "check", ...rest },
        epoch,
        answerMs: timeoutMs + answerMs,
        signal,
      });
      return parseAs(checkResultSchema, answer, "the agent's answer", "agent-failed");
    },
    async replaceKey({ epoch, run, key }, signal) {
      const text = JSON.stringify({ key });
      const command = { kind: "keys", run, bodySha256: bodySha256(text) } as const;
      const answer = await post("/v1/keys", command, epoch, signal, text);
      return parseAs(servedKeySchema, answer, "the agent's answer", "agent-failed");
    },
    async receipt({ key, waitMs }, signal) {
      try {
        const seen = await ended(key, waitMs, signal);
        if (seen?.state === "failed") throw fromProblem(seen.problem);
        return seen?.state === "receipt" ? seen.receipt : null;
      } catch (error) {
        // The agent never heard of this key: it certainly has no receipt.
        if (isAppError(error) && (error.code === "not-found" || error.code === "unknown-operation"))
          return null;
        throw error;
      }
    },
  };
}
