import {
  type AgentOperation,
  AppError,
  type EvidenceClass,
  type Outcome,
  type Receipt,
  type Run,
  commandKey,
  fromProblem,
  isAppError,
} from "@baton/protocol";
import { checkReceipt } from "./check-receipt.ts";
import { openDispatcher } from "./open-dispatcher.ts";
import { type StopOptions, readStopOptions } from "./stop-options.ts";
import { type StopSession, openSession } from "./stop-session.ts";

/** A stop that ended the run. Only `graceful` says that nothing was lost; after the others acknowledged writes may be. */
export interface StopResult {
  readonly outcome: Exclude<Outcome, "refused" | "unknown">;
  readonly evidenceClass: Exclude<EvidenceClass, "unknown">;
  readonly receipt: Receipt;
  /** The signed form: keep it. `checkReceipt` reads it again at any time. */
  readonly jws: string;
  readonly key: string;
  readonly operation: string;
  readonly run: Run;
}

/**
 * Tells the agent to stop its application, waits, and verifies the signed receipt: trigger → wait → verify. Safe to repeat by its key; lost
 * answers, broken connections and restarts of the agent are survived until the deadline.
 *
 * Resolves for every proven or claimed end, `forced` and `crashed-during-stop` too: the run is gone, and only the caller knows whether a
 * possible loss is acceptable.
 *
 * @throws AppError `stop-refused` (it still runs) and `stop-unknown`, with `receipt` and `jws` in `meta` when there is a receipt;
 * `receipt-invalid`; `deadline-exceeded` (the agent answers, the stop is still open: call again); `agent-unreachable`, `agent-failed`,
 * `agent-identity`; `invalid-request`; and the agent's own: `unauthenticated`, `token-foreign`, `stale-epoch`, `wrong-state` … All but
 * `invalid-request` have `operation`, `key`, `run` and `taken` in `meta`: whether the agent took the stop ("no", "maybe", "yes").
 */
export async function stopAndConfirm(agentUrl: string, options: StopOptions): Promise<StopResult> {
  const given = readStopOptions(agentUrl, options);
  const { url, placement, signingKey, operation, deadlineMs, signal } = given;
  const facts: StopFacts = { operation, key: given.key ?? null, run: given.run ?? null, taken: "no" };
  const { dispatcher, close } = openDispatcher(url, given);
  const address = {
    url: url.href,
    placement,
    signingKey,
    dispatcher,
    retry: { retries: Infinity, ...given.retry },
  };
  try {
    return await stopOnce(openSession({ address, deadlineMs, signal }), given, facts);
  } catch (error) {
    signal?.throwIfAborted();
    if (!isAppError(error)) throw error;
    throw new AppError(error.code, error.message, { cause: error.cause, meta: { ...facts, ...error.meta } });
  } finally {
    await close();
  }
}

type Given = ReturnType<typeof readStopOptions>;

/** What an error tells beside its own words. */
interface StopFacts {
  readonly operation: string;
  key: string | null;
  run: Run | null;
  taken: "no" | "maybe" | "yes";
}

interface NamedStop {
  readonly key: string;
  readonly operation: string;
  readonly run: Run;
  readonly epoch: number;
}

async function stopOnce(session: StopSession, given: Given, facts: StopFacts): Promise<StopResult> {
  const stop = await nameStop(session, given);
  const { key, run } = stop;
  Object.assign(facts, { key, run });
  let first: AgentOperation;
  try {
    first = await trigger(session, given, stop, facts);
  } catch (error) {
    return findEarlier(session, given, stop, error);
  }
  return verify(given, stop, await waitForReceipt(session, given, key, first));
}

/** The run to stop, and the key of that stop. */
async function nameStop(session: StopSession, given: Given): Promise<NamedStop> {
  const { placement, operation, attempt } = given;
  const status = await session.status();
  const run = given.run ?? status.run;
  if (run === null)
    throw new AppError("wrong-state", `cannot stop ${placement}: nothing was ever started there`);
  const key = given.key ?? commandKey({ operation, step: "stop", attempt, run });
  return { key, operation, run, epoch: given.epoch ?? status.epoch };
}

/** The agent's deadline ends before ours: its receipt has to get here. */
async function trigger(session: StopSession, given: Given, stop: NamedStop, facts: StopFacts) {
  const { placement, deadlineMs } = given;
  const reserveMs = Math.min(5_000, deadlineMs / 5);
  if (session.leftMs(reserveMs) === 0)
    throw new AppError(
      "deadline-exceeded",
      `cannot stop ${placement}: its agent answered too late to stop in ${deadlineMs} ms`,
    );
  facts.taken = "maybe";
  try {
    const first = await session.stop({ ...stop, reserveMs });
    facts.taken = "yes";
    return first;
  } catch (error) {
    if (isAppError(error) && error.code !== "agent-unreachable" && error.code !== "agent-failed")
      facts.taken = "no";
    throw error;
  }
}

const supersededCodes: ReadonlySet<string> = new Set(["command-conflict", "stale-epoch", "wrong-state"]);

/** A stop that ended long ago is not joined once the agent has gone on to another epoch; its receipt still stands. @throws the refusal */
async function findEarlier(session: StopSession, given: Given, stop: NamedStop, refusal: unknown) {
  if (!isAppError(refusal) || !supersededCodes.has(refusal.code)) throw refusal;
  const seen = await session.operation(stop.key, 0).catch(() => null);
  if (seen?.state !== "receipt") throw refusal;
  try {
    return await verify(given, { ...stop, epoch: given.epoch }, seen.receipt);
  } catch (error) {
    // A true receipt, but of somebody else's stop: the agent was right to refuse ours.
    if (isAppError(error) && error.meta?.["differs"] !== undefined) throw refusal;
    throw error;
  }
}

async function waitForReceipt(
  session: StopSession,
  { placement, deadlineMs }: Given,
  key: string,
  first: AgentOperation,
): Promise<string> {
  const lastAnswerMs = Math.min(1_000, deadlineMs / 10);
  const longestMs = Math.ceil(Math.min(5_000, deadlineMs / 4));
  let seen = first;
  while (seen.state === "open") {
    const waitMs = Math.min(longestMs, session.leftMs(lastAnswerMs));
    if (waitMs === 0)
      throw new AppError(
        "deadline-exceeded",
        `cannot confirm the stop of ${placement}: it is still open after ${deadlineMs} ms; call again with the same operation`,
      );
    try {
      seen = await session.operation(key, waitMs);
    } catch (error) {
      if (!isAppError(error) || error.code !== "not-found") throw error;
      throw new AppError(
        "stop-unknown",
        `cannot confirm the stop of ${placement}: its agent took it and knows it no more; it has lost its state`,
        { cause: error },
      );
    }
  }
  if (seen.state === "failed") throw fromProblem(seen.problem);
  if (seen.state === "receipt") return seen.receipt;
  throw new AppError("agent-failed", `cannot stop ${placement}: its agent answered about a ${seen.kind}`);
}

async function verify(
  { placement, publicKey }: Given,
  { epoch, ...stop }: Omit<NamedStop, "epoch"> & { readonly epoch: number | undefined },
  jws: string,
): Promise<StopResult> {
  try {
    return judge(await checkReceipt(jws, publicKey, { placement, epoch, ...stop }), jws, stop);
  } catch (error) {
    if (!isAppError(error)) throw error;
    throw new AppError(error.code, error.message, { cause: error.cause, meta: { jws, ...error.meta } });
  }
}

function judge(receipt: Receipt, jws: string, stop: Omit<NamedStop, "epoch">): StopResult {
  const { outcome, evidenceClass, evidence, placement } = receipt;
  if (outcome === "refused")
    throw new AppError(
      "stop-refused",
      `cannot stop ${placement}: the application did not stop and still runs`,
      {
        meta: { receipt },
      },
    );
  // A proof without a tree that is gone would be a false "stopped".
  const isBorneOut = evidenceClass !== "proven" || evidence.treeGone;
  if (outcome === "unknown" || evidenceClass === "unknown" || !isBorneOut)
    throw new AppError(
      "stop-unknown",
      `cannot say whether ${placement} stopped: its agent could not prove it`,
      {
        meta: { receipt },
      },
    );
  return { outcome, evidenceClass, receipt, jws, ...stop };
}
