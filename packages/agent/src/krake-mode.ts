import { setImmediate as nextTurn, setTimeout as delay } from "node:timers/promises";
import { type AgentConfig, sameRun } from "@baton/protocol";
import { type AgentContext, note } from "./agent-context.ts";
import type { KrakeFacts } from "./facts.ts";
import { type KrakeTimings, confirmToKrake, krakeTimings } from "./krake-confirm.ts";
import type { KrakeCredentials } from "./krake-credentials.ts";
import { isForKrake, reasonToWithhold } from "./krake-ending.ts";
import { reasonOf } from "./log.ts";
import type { Supervisor } from "./supervisor.ts";

/** A controller that waits for the answer does nothing else: a slow disk must not hold it up. */
const noteMs = 50;
/** Anybody may send orders: Krake's API hears of them no more often. */
const betweenConfirmationsMs = 1_000;
/** The stop's last steps (receipt, lease) come after its deadline. */
const marginMs = 10_000;

/** Does what a Krake orders: one stop by the ordinary path, then the confirmation of an end that may be confirmed. */
export interface KrakeMode {
  /** Resolves when the order is on record, or after 50 ms; the rest goes on by itself. Joins what is under way. */
  order(): Promise<void>;
  /** Takes up what an earlier life of the agent left open. */
  resume(): void;
  /** Resolves when nothing is under way, at the latest after `limitMs`. */
  settle(limitMs: number): Promise<void>;
  close(): void;
}

export function createKrakeMode(deps: {
  readonly context: AgentContext;
  readonly supervisor: Supervisor;
  readonly krake: NonNullable<AgentConfig["krake"]>;
  readonly credentials: KrakeCredentials;
  readonly timings?: KrakeTimings | undefined;
}): KrakeMode {
  const { context, supervisor, krake, credentials, timings = krakeTimings } = deps;
  const { journal, operations, log } = context;
  const closed = new AbortController();
  let work: Promise<void> | null = null;
  /** Of the work: an order joins it only while what it asks for is still to come. */
  let phase: "stopping" | "confirming" | "concluding" = "stopping";
  /** An order came while a confirmation was on its way: the answer to that one may be older. */
  let isAskedAgain = false;
  let stale = new AbortController();
  let confirmedAt = Number.NEGATIVE_INFINITY;

  const record = async (state: KrakeFacts["state"]): Promise<unknown> =>
    closed.signal.aborted ||
    note(context, (facts) => ({ ...facts, krake: { state, run: facts.run?.run ?? null } }));
  /** A run that was started since is not what the confirmation speaks of. */
  const holds = (): boolean => journal.facts.starting === null && isForKrake(journal.facts);

  const stop = async (isResumed: boolean): Promise<void> => {
    const { run, operations: records } = journal.facts;
    const open = Object.values(records).find(
      (of) => of.kind === "stop" && of.progress.state === "open" && sameRun(of.run, run?.run ?? null),
    );
    if (isResumed && open !== undefined)
      await operations.wait(open.key, krake.deadlineMs + marginMs, closed.signal);
    else await supervisor.stopByItself("krake-stop", krake.deadlineMs);
  };

  const confirm = async (isRepeat: boolean): Promise<void> => {
    phase = "confirming";
    stale = new AbortController();
    const signal = AbortSignal.any([closed.signal, stale.signal]);
    let result: Awaited<ReturnType<typeof confirmToKrake>>;
    let mayBeTaken = isRepeat;
    do {
      isAskedAgain = false;
      const pauseMs = confirmedAt + betweenConfirmationsMs - performance.now();
      if (pauseMs > 0) await delay(pauseMs, undefined, { signal }).catch(() => undefined);
      result = await confirmToKrake({ credentials, log, signal, timings, isRepeat: mayBeTaken, holds });
      confirmedAt = performance.now();
      mayBeTaken = true;
    } while (isAskedAgain && result !== "open" && holds());
    phase = "concluding";
    if (result !== "open") await record(result === "taken" ? "confirmed" : "refused");
  };

  const carryOut = async (isResumed: boolean): Promise<void> => {
    await stop(isResumed);
    if (closed.signal.aborted) return;
    const { run, starting } = journal.facts;
    const reason = starting === null ? reasonToWithhold(run) : "the application is being started";
    if (reason !== null) {
      phase = "concluding";
      await record("withheld");
      log("error", "Krake gets no confirmation; its next PUT /shutdown tries again", { reason });
      return;
    }
    await record("pending");
    await confirm(isResumed);
  };

  const begin = (task: Promise<void>): void => {
    work = task
      .catch((error: unknown) => log("error", "Krake's order failed", { reason: reasonOf(error) }))
      .finally(() => (work = null));
  };

  const take = async (): Promise<void> => {
    while (work !== null) {
      if (phase === "stopping") return;
      if (phase === "confirming" && holds()) {
        isAskedAgain = true;
        return;
      }
      stale.abort();
      await work;
    }
    if (closed.signal.aborted) return;
    log("info", "Krake orders the stop");
    const noted = journal
      .update((facts) => ({ ...facts, krake: { state: "asked", run: facts.run?.run ?? null } }))
      .catch((error: unknown) =>
        log("error", "Krake's order cannot be recorded", { reason: reasonOf(error) }),
      );
    const heard = Promise.race([noted, delay(noteMs, undefined, { ref: false })]);
    phase = "stopping";
    // The answer goes first.
    begin(heard.then(() => nextTurn()).then(() => carryOut(false)));
    await heard;
  };

  return {
    order: () => Promise.race([take(), delay(noteMs, undefined, { ref: false })]),
    resume() {
      const { krake: left } = journal.facts;
      if (left?.state === "asked") begin(carryOut(true));
      else if (left?.state === "pending" && holds()) begin(confirm(true));
    },
    async settle(limitMs) {
      if (work !== null) await Promise.race([work, delay(limitMs, undefined, { ref: false })]);
    },
    close: () => closed.abort(),
  };
}
