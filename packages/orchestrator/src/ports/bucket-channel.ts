import { setTimeout as delay } from "node:timers/promises";
import {
  type AgentStatus,
  AppError,
  type Command,
  type PrivateKey,
  agentStatusSchema,
  fromProblem,
  parseAs,
  problemSchema,
  signCommand,
} from "@baton/protocol";
import {
  type ObjectStore,
  type RequestView,
  type RequestWrite,
  applyRequestWrite,
  getReceipt,
  planRequest,
  readRequest,
} from "@baton/storage";

type AskedCommand = Extract<Command, { kind: "stop" | "withdraw" | "open" | "read" }>;

/** One agent, asked and answering through the bucket, where no network path leads to it. Every call ends by `signal` at the latest. */
export interface BucketChannel {
  /**
   * Resolves once the agent accepted the stop: then its receipt is to be waited for, and nothing takes it back.
   *
   * @throws AppError what the agent refuses with; `agent-unreachable` when it did not answer: it may still accept until the token expires or
   * another command takes the stop's place, which `command` does.
   */
  stop(command: Of<"stop">, epoch: number, signal: AbortSignal): Promise<void>;
  /**
   * The agent's status after the command. The command takes the place of whatever was asked before, by a conditional write: a stop that was not
   * accepted until then never will be. @throws as `stop` does
   */
  command(
    command: Exclude<AskedCommand, { kind: "stop" }>,
    epoch: number,
    signal: AbortSignal,
  ): Promise<AgentStatus>;
  /** The signed receipt, unverified; null when there is none after `waitMs`. @throws AppError when the store cannot say so */
  receipt(
    params: { readonly key: string; readonly waitMs: number },
    signal: AbortSignal,
  ): Promise<string | null>;
}
type AskedContent = Parameters<typeof planRequest>[1];
type Of<K extends AskedCommand["kind"]> = Extract<AskedCommand, { kind: K }>;

/** Less than a token's life: what is not answered by then is not asked any more. */
const askMs = 25_000;
const pauseMs = 250;
const readMs = 5_000;

export function createBucketChannel(params: {
  /** With Baton's own key. */
  readonly open: () => Promise<ObjectStore>;
  readonly prefix: string;
  readonly placement: string;
  readonly signingKey: PrivateKey;
  /** Which life of the operation asks, if one does. */
  readonly term?: (() => Promise<number>) | undefined;
}): BucketChannel {
  const { open, prefix, placement, signingKey: key } = params;
  const silent = (why: string, cause?: unknown): AppError =>
    new AppError(
      "agent-unreachable",
      `cannot reach the agent of ${placement} by network or through the bucket: ${why}`,
      { cause },
    );

  const look = (store: ObjectStore): Promise<RequestView | null> =>
    readRequest({ store, prefix, placement, timeoutMs: readMs });

  /** Definite, or an error (safety rule 7). */
  const put = async (
    store: ObjectStore,
    content: AskedContent,
    limit: AbortSignal,
  ): Promise<RequestWrite> => {
    let seen = await look(store);
    while (!limit.aborted) {
      const write = planRequest(seen, content);
      const result = await applyRequestWrite({ store, prefix, placement, write, deadlineMs: readMs });
      if (result.kind === "applied") return write;
      seen = result.current;
    }
    throw silent("the deadline has passed");
  };

  const ask = async (command: AskedCommand, epoch: number, signal: AbortSignal): Promise<unknown> => {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(askMs)]);
    const store = await open();
    const token = await signCommand({ key, placement, epoch, command, term: await params.term?.() });
    const write = await put(store, { state: "asked", kind: command.kind, token }, limit);
    let last: unknown;
    for (; !limit.aborted; await delay(pauseMs, undefined, { signal: limit }).catch(() => undefined)) {
      const seen = await look(store).catch((error: unknown) => {
        last = error;
        return "unseen" as const;
      });
      const request = seen === "unseen" ? null : (seen?.request ?? null);
      if (seen === "unseen" || request?.nonce === write.nonce) continue;
      if (request === null || request.state === "asked" || request.history[0] !== write.nonce)
        throw silent("something else was asked in the place of this command");
      if (request.state === "accepted") return request.status;
      throw fromProblem(parseAs(problemSchema, request.problem, "the agent's problem", "agent-failed"));
    }
    throw silent("no answer", last);
  };

  return {
    async stop(command, epoch, signal) {
      await ask(command, epoch, signal);
    },
    async command(command, epoch, signal) {
      const status = await ask(command, epoch, signal);
      return parseAs(agentStatusSchema, status, "the agent's status", "agent-failed");
    },
    async receipt({ key: name, waitMs }, signal) {
      const endAt = performance.now() + waitMs;
      for (;;) {
        const store = await open();
        const receipt = await getReceipt({ store, prefix, key: name, timeoutMs: readMs });
        if (receipt !== null || signal.aborted || performance.now() >= endAt) return receipt;
        await delay(pauseMs, undefined, { signal }).catch(() => undefined);
      }
    },
  };
}
