import {
  AppError,
  type Command,
  type PrivateKey,
  fromProblem,
  isAppError,
  parseAs,
  problemSchema,
  signCommand,
} from "@baton/protocol";
import pRetry from "p-retry";
import { type Dispatcher, request } from "undici";

/** Where one agent is, and the key that signs commands for it. */
export interface AgentAddress {
  readonly url: string;
  readonly placement: string;
  readonly signingKey: PrivateKey;
  readonly dispatcher?: Dispatcher | undefined;
}

export interface AgentCall {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly command: Command;
  readonly epoch: number;
  readonly body?: string | undefined;
  /** How long the agent may take to answer one try, in ms. */
  readonly answerMs: number;
  readonly signal: AbortSignal;
}

const connectRetries = 6;

/**
 * One command to one agent. Tries again, with a new token each time, while the agent cannot be reached or fails: every command is idempotent by
 * its key. Any other answer is final.
 *
 * @throws AppError the agent's own problem; `agent-unreachable` when it does not answer by the end of `signal`, or the signal's own AppError;
 * `agent-failed` when its answer makes no sense.
 */
export async function callAgent(address: AgentAddress, call: AgentCall): Promise<unknown> {
  try {
    return await pRetry(() => tryOnce(address, call), {
      retries: connectRetries,
      minTimeout: 20,
      maxTimeout: 1_000,
      factor: 2,
      randomize: true,
      signal: call.signal,
      shouldRetry: ({ error }) =>
        isAppError(error) && (error.code === "agent-unreachable" || error.code === "agent-failed"),
    });
  } catch (error) {
    if (isAppError(error) || !call.signal.aborted) throw error;
    throw unreachable(address, call, error);
  }
}

async function tryOnce(address: AgentAddress, call: AgentCall): Promise<unknown> {
  const token = await signCommand({
    key: address.signingKey,
    placement: address.placement,
    epoch: call.epoch,
    command: call.command,
  });
  let status: number;
  let text: string;
  try {
    const answer = await request(new URL(call.path, address.url), {
      method: call.method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(call.body === undefined ? {} : { "content-type": "application/json" }),
      },
      body: call.body ?? null,
      headersTimeout: call.answerMs,
      bodyTimeout: call.answerMs,
      signal: call.signal,
      ...(address.dispatcher === undefined ? {} : { dispatcher: address.dispatcher }),
    });
    status = answer.statusCode;
    text = await answer.body.text();
  } catch (error) {
    throw unreachable(address, call, error);
  }
  if (status >= 200 && status < 300) return parseJson(text);
  throw problemOf(address, status, text);
}

function unreachable(address: AgentAddress, call: AgentCall, cause: unknown): AppError {
  const why = call.signal.aborted ? "the deadline has passed" : "no answer";
  return new AppError("agent-unreachable", `cannot reach the agent of ${address.placement}: ${why}`, {
    cause,
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new AppError("agent-failed", "cannot read the agent's answer: it is not JSON", { cause: error });
  }
}

function problemOf(address: AgentAddress, status: number, text: string): AppError {
  try {
    return fromProblem(parseAs(problemSchema, JSON.parse(text), "the agent's problem"));
  } catch (error) {
    return new AppError(
      "agent-failed",
      `cannot use the agent of ${address.placement}: it answered ${status}`,
      { cause: error },
    );
  }
}
