import {
  type AgentConfig,
  AppError,
  type Command,
  type VerifiedCommand,
  toAppError,
  toProblem,
} from "@baton/protocol";
import {
  type ObjectStore,
  type RequestView,
  type RequestWrite,
  type RequestWriteResult,
  applyRequestWrite,
  planRequest,
  readRequest,
} from "@baton/storage";
import { admitStop, withNonce } from "./admit-command.ts";
import type { AgentContext } from "./agent-context.ts";
import type { CommandGate, PassedCommand } from "./command-gate.ts";
import type { Accepting } from "./facts.ts";
import { reasonOf } from "./log.ts";
import { unrecordable } from "./own-operation.ts";
import type { Supervisor } from "./supervisor.ts";

/** The way in that needs no network path to the agent: commands in an object beside the lease, which is looked at as often as the lease is renewed. */
export interface Channel {
  close(): Promise<void>;
}

/**
 * A command is let through by the same gate as over HTTP and answered in its place. Whoever asked may take it back by a conditional write, so a
 * stop begins only once our own write on the same ETag was certainly taken; what is being accepted is on record before it is sent (rule 7).
 */
export function openChannel(deps: {
  readonly context: AgentContext;
  readonly storage: NonNullable<AgentConfig["storage"]>;
  readonly store: ObjectStore;
  readonly gate: CommandGate;
  readonly supervisor: Supervisor;
  /** Of the error table. */
  readonly onRefused: (code: string) => void;
}): Channel {
  const { context, storage, store, gate, supervisor, onRefused } = deps;
  const { config, instance, journal, log } = context;
  const { prefix, renewMs } = storage;
  const mailbox = { store, prefix, placement: config.placement };
  const limitMs = Math.max(1_000, renewMs);
  /** An answer of which it is not certain yet that it is there. */
  let reply: RequestWrite | null = null;
  let isClosed = false;
  let isSilent = false;
  let timer: NodeJS.Timeout;

  const send = (write: RequestWrite): Promise<RequestWriteResult> =>
    applyRequestWrite({ ...mailbox, write, deadlineMs: limitMs });

  const refuse = (seen: RequestView, error: unknown): void => {
    const refusal = toAppError(unrecordable(error));
    onRefused(refusal.code);
    reply = planRequest(seen, { state: "refused", instance, problem: toProblem(refusal) });
  };

  const beginStop = async ({ verified, write }: Accepting): Promise<void> => {
    const result = await send(write);
    // A later life finds the very same acceptance on record.
    if (isClosed) return;
    let failure: unknown = null;
    if (result.kind === "applied")
      try {
        // Whoever asked has given it up by now.
        if (Date.now() / 1_000 > verified.expiresAt)
          throw new AppError("token-expired", "cannot stop: it was accepted too late; ask again");
        await supervisor.stop(verified);
      } catch (error) {
        failure = error;
      }
    if (isClosed) return;
    await journal.update((facts) => ({ ...facts, accepting: null }));
    if (failure === null || result.kind !== "applied" || result.etag === null) return;
    refuse({ request: JSON.parse(write.body) as RequestView["request"], etag: result.etag }, failure);
  };

  const take = async (seen: RequestView, kind: AskedKind, token: string): Promise<void> => {
    let verified: VerifiedCommand | null = null;
    try {
      const passed = await gate.pass(`Bearer ${token}`, kind);
      verified = passed;
      if (is(passed, "stop")) {
        const accepting: Accepting = {
          verified: passed,
          write: planRequest(seen, { state: "accepted", instance, status: null }),
        };
        await journal.update((facts) => {
          admitStop(facts, passed, new Date().toISOString());
          return { ...withNonce(facts, passed), accepting };
        });
        return;
      }
      if (is(passed, "withdraw")) await supervisor.withdraw(passed);
      if (is(passed, "open")) await supervisor.open(passed);
      reply = planRequest(seen, { state: "accepted", instance, status: await supervisor.status() });
    } catch (error) {
      refuse(seen, error);
      if (verified !== null) await gate.keepNonce(verified);
    }
  };

  const look = async (): Promise<void> => {
    const seen = await readRequest({ ...mailbox, timeoutMs: limitMs });
    if (isClosed || seen === null) return;
    const { request } = seen;
    if (request === null)
      refuse(seen, new AppError("invalid-request", "cannot read the request: it is none"));
    else if (request.state === "asked") await take(seen, request.kind, request.token);
  };

  const work = async (): Promise<void> => {
    if (reply === null && journal.facts.accepting === null) await look();
    const { accepting } = journal.facts;
    if (accepting !== null && !isClosed) await beginStop(accepting);
    if (reply === null) return;
    await send(reply);
    reply = null;
  };

  /** What is not certain is asked for again the next time; an outage is told of once. */
  const tellOnce = (error: unknown): void => {
    if (!isSilent) log("warn", "nobody can be heard through the bucket", { reason: reasonOf(error) });
    isSilent = true;
  };
  const plan = (pauseMs: number): void => {
    timer = setTimeout(() => {
      void work()
        .then(() => (isSilent = false), tellOnce)
        .then(() => isClosed || plan(renewMs));
    }, pauseMs).unref();
  };
  plan(journal.facts.accepting === null ? renewMs : 0);

  return {
    async close() {
      isClosed = true;
      clearTimeout(timer);
      await journal.idle();
    },
  };
}

type AskedKind = "stop" | "withdraw" | "open" | "read";

const is = <K extends Command["kind"]>(passed: VerifiedCommand, kind: K): passed is PassedCommand<K> =>
  passed.command.kind === kind;
