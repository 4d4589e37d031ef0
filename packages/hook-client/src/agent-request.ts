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
import { type RetryLimits, retryOptions } from "./retry-limits.ts";

/** Where one agent is, and the key that signs commands for it. */
export interface AgentAddress {
  /** With a path, that path is put before the agent's own (a proxy's, for one). */
  readonly url: string;
  readonly placement: string;
  readonly signingKey: PrivateKey;
  /**
   * Which life of an orchestrator's operation asks, asked anew for each try: the agent refuses a lower one than it has seen for the operation. What
   * it throws ends the call.
   */
  readonly term?: (() => Promise<number>) | undefined;
  readonly dispatcher?: Dispatcher | undefined;
  /** 6 retries, 20 ms to 1 s apart, unless given. */
  readonly retry?: RetryLimits | undefined;
}

export interface AgentCall {
  readonly method: "GET" | "POST";
  readonly path: string;
  /** A function is asked again for each try. */
  readonly command: Command | (() => Command);
  readonly epoch: number;
  readonly body?: string | undefined;
  /** How long the agent may take to answer one try, in ms. */
  readonly answerMs: number;
  readonly signal: AbortSignal;
}

/**
 * One command to one agent. Tries again, with a new token each time, while the agent cannot be reached or fails: every command is idempotent by
 * its key. Any other answer is final.
 *
 * @throws AppError the agent's own problem; `agent-unreachable` when it does not answer by the end of `signal`, or the signal's own AppError;
 * `agent-failed` when its answer makes no sense; `agent-identity` when its TLS certificate cannot be trusted. That it refuses ours cannot be
 * told from a broken connection.
 */
export async function callAgent(address: AgentAddress, call: AgentCall): Promise<unknown> {
  let last: unknown;
  try {
    return await pRetry(() => tryOnce(address, call), {
      ...retryOptions({ retries: 6, ...address.retry }),
      signal: call.signal,
      shouldRetry: ({ error }) => isPassing(error),
      onFailedAttempt: ({ error }) => {
        last = error;
      },
    });
  } catch (error) {
    if (isAppError(error) || !call.signal.aborted) throw error;
    // An agent that answers, but badly, until the end is not a silent one.
    throw isAppError(last) && last.code === "agent-failed" ? last : unreachable(address, call, error);
  }
}

const isPassing = (error: unknown): boolean =>
  isAppError(error) && (error.code === "agent-unreachable" || error.code === "agent-failed");

async function tryOnce(address: AgentAddress, call: AgentCall): Promise<unknown> {
  const term = await address.term?.();
  const token = await signCommand({
    key: address.signingKey,
    term,
    placement: address.placement,
    epoch: call.epoch,
    command: typeof call.command === "function" ? call.command() : call.command,
  });
  let status: number;
  let text: string;
  try {
    const answer = await request(address.url.replace(/\/+$/, "") + call.path, {
      method: call.method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(call.body === undefined ? {} : { "content-type": "application/json" }),
      },
      body: call.body ?? null,
      headersTimeout: call.answerMs,
      bodyTimeout: call.answerMs,
      // The two above begin with the connection; a host that swallows packets would cost ten seconds more.
      signal: AbortSignal.any([call.signal, AbortSignal.timeout(Math.ceil(call.answerMs))]),
      ...(address.dispatcher === undefined ? {} : { dispatcher: address.dispatcher }),
    });
    status = answer.statusCode;
    text = await answer.body.text();
  } catch (error) {
    throw distrust(address, error) ?? unreachable(address, call, error);
  }
  if (status >= 200 && status < 300) return parseJson(text);
  throw problemOf(address, status, text);
}

/** A TLS certificate that cannot be trusted, which another try cannot change; null for every other failure. */
function distrust({ placement }: AgentAddress, cause: unknown): AppError | null {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  if (!/^(CERT_|ERR_TLS_CERT|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|INVALID_CA|HOSTNAME_)/.test(code))
    return null;
  return new AppError(
    "agent-identity",
    `cannot trust the agent of ${placement}: its TLS certificate is not valid for this address and CA`,
    { cause },
  );
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
    // A proxy's word on the way, not the agent's, which always says why.
    if (status >= 502 && status <= 504)
      return new AppError(
        "agent-unreachable",
        `cannot reach the agent of ${address.placement}: what is on the way to it answered ${status}`,
        { cause: error },
      );
    return new AppError(
      "agent-failed",
      `cannot use the agent of ${address.placement}: it answered ${status}`,
      { cause: error },
    );
  }
}
