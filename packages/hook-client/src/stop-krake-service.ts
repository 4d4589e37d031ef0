import { AppError, type ErrorCode, isAppError, newOperationId } from "@baton/protocol";
import { readHttpUrl } from "./http-url.ts";
import type { Expectation, KrakeConfirmations } from "./krake-confirmations.ts";
import { type TriggerProgress, abortOf, keepTriggering } from "./krake-trigger.ts";
import { type ConnectionOptions, openDispatcher } from "./open-dispatcher.ts";
import type { RetryLimits } from "./retry-limits.ts";
import { readDeadlineMs } from "./stop-options.ts";

export interface KrakeStopOptions extends ConnectionOptions {
  /** Where this service confirms; one for each service. */
  readonly confirmations: KrakeConfirmations;
  /** For all of it, 1 ms to 1 h. */
  readonly deadlineMs: number;
  /** Names the stop: again with the same one joins it, or has its confirmation at once. A new one unless given. */
  readonly operation?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Of the trigger, until it is answered. Unlimited within the deadline unless given. */
  readonly retry?: RetryLimits | undefined;
  /** Gives the service a token made for this stop, where it can take one while it runs. Its end is awaited before the trigger. */
  readonly inject?:
    ((credentials: { readonly url: string; readonly token: string }) => Promise<void>) | undefined;
  /** Accepts a token that an earlier stop has used: a confirmation that was left over from then cannot be told from a new one. */
  readonly reuseToken?: boolean | undefined;
  /** Sends the trigger again this long after each answer, for services that confirm once and give up. Never unless given. */
  readonly repeatTriggerMs?: number | undefined;
}

/** Somebody said so: nobody saw the processes go, and how they ended is not known. */
export interface KrakeStopResult {
  readonly evidenceClass: "claimed";
  readonly operation: string;
  /** How surely the confirmation belongs to this stop. */
  readonly tiedBy: Expectation["tiedBy"];
  /** How often it was sent, and what status it was answered with last; null when the confirmation was faster. */
  readonly triggers: number;
  readonly answered: number | null;
  /** This side's wall clock; null when an earlier call of the same operation has triggered. */
  readonly triggeredAt: string | null;
  readonly confirmedAt: string;
  /** From the first trigger of this call to the confirmation; null as above. */
  readonly stopMs: number | null;
}

/**
 * Stops a service that knows Krake's protocol only: `PUT /shutdown` without a credential, then waits for its confirmation. Any 2xx means
 * delivered; 408, 409, 425, 429, 5xx and failures of the network are tried again; every other answer is final.
 *
 * @throws AppError `agent-unreachable` (no trigger reached it), `agent-failed` (its answer was final), `stop-unknown` (it may have got the
 * trigger and did not confirm in time), `command-conflict`, `invalid-request`; the signal's reason
 */
export async function stopKrakeService(
  serviceUrl: string,
  options: KrakeStopOptions,
): Promise<KrakeStopResult> {
  const { confirmations, inject, operation = newOperationId(), reuseToken, retry, repeatTriggerMs } = options;
  const url = readHttpUrl(serviceUrl, "the service");
  const deadlineMs = readDeadlineMs(options.deadlineMs);
  const { dispatcher, close } = openDispatcher(url, options);
  const deadline = AbortSignal.timeout(deadlineMs);
  const ended = new AbortController();
  const signals = [deadline, ended.signal, ...(options.signal === undefined ? [] : [options.signal])];
  const signal = AbortSignal.any(signals);
  const progress: TriggerProgress = { triggers: 0, answered: null, firstAt: null, delivered: "no" };
  let expectation: Expectation | null = null;
  try {
    expectation = confirmations.expect({ operation, renewToken: inject !== undefined, reuseToken });
    const stop = expectation;
    const { url: confirmUrl, token } = confirmations;
    if (stop.confirmedAt === null && inject !== undefined)
      await Promise.race([inject({ url: confirmUrl, token }), abortOf(signal)]);
    // Before the trigger leaves: a service on this machine may confirm before it answers.
    stop.arm();
    const confirmedAt =
      stop.confirmedAt ??
      (await Promise.race([
        stop.confirmed,
        keepTriggering({ url, dispatcher, signal, retry, repeatTriggerMs, progress }),
        abortOf(signal),
      ]));
    const { triggers, answered, firstAt } = progress;
    return {
      evidenceClass: "claimed",
      operation,
      tiedBy: stop.tiedBy,
      triggers,
      answered,
      triggeredAt: firstAt?.wall ?? null,
      confirmedAt,
      stopMs: firstAt === null ? null : performance.now() - firstAt.monotonic,
    };
  } catch (error) {
    options.signal?.throwIfAborted();
    const failure = deadline.aborted ? lateError(url, progress, deadlineMs, error) : error;
    if (!isAppError(failure)) throw failure;
    const { triggers, answered, delivered } = progress;
    throw new AppError(failure.code, failure.message, {
      cause: failure.cause,
      meta: { operation, triggers, answered, delivered },
    });
  } finally {
    ended.abort();
    expectation?.release();
    await close();
  }
}

function lateError(
  url: URL,
  { triggers, delivered }: TriggerProgress,
  deadlineMs: number,
  cause: unknown,
): AppError {
  const fail = (code: ErrorCode, detail: string): AppError => new AppError(code, detail, { cause });
  if (triggers === 0)
    return fail(
      "deadline-exceeded",
      `cannot stop the service at ${url.host}: its token was not there in ${deadlineMs} ms`,
    );
  if (delivered === "no")
    return fail("agent-unreachable", `cannot stop the service at ${url.host}: no answer in ${deadlineMs} ms`);
  return fail(
    "stop-unknown",
    `cannot say whether the service at ${url.host} stopped: it did not confirm in ${deadlineMs} ms`,
  );
}
