import { toAppError } from "@baton/protocol";
import { type OpenTraffic, decideTraffic } from "@baton/traffic";
import type { Logger } from "pino";
import type { ClaimedTelling, DueReceiver, TrafficRecords } from "../records/traffic-records.ts";
import { repeat } from "./repeat.ts";

/** All in ms. */
export interface TrafficTimings {
  readonly look: number;
  /** After the first try in vain; doubled after each other one, up to the longest. */
  readonly firstPause: number;
  readonly longestPause: number;
}

const usualTimings: TrafficTimings = { look: 1_000, firstPause: 1_000, longestPause: 60_000 };
/** A claim outlasts its try by what it takes to kill a program and to write down how it ended. */
const claimReserveMs = 5_000;
const atOnce = 16;

export interface TellTrafficParams {
  readonly records: TrafficRecords;
  readonly open: OpenTraffic;
  readonly ownerOf: (application: string) => string;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly timings?: TrafficTimings | undefined;
}

/**
 * Keeps telling every receiver what is committed and serves until he confirms it. It goes by the records alone, so it does not matter who moved the
 * application, how often, or which replica died in between; one replica at a time tells a receiver.
 *
 * @returns how to end it, once `signal` is aborted
 */
export function tellTraffic(params: TellTrafficParams): () => Promise<void> {
  const { records, log, signal, timings = usualTimings } = params;
  const underWay = new Map<string, Promise<void>>();
  const look = async (): Promise<void> => {
    if (signal.aborted) return;
    for (const { application, ...state } of await records.look())
      for (const change of decideTraffic(state)) await records.change(application, change);
    if (underWay.size >= atOnce) return;
    for (const due of await records.due(atOnce - underWay.size)) {
      const key = `${due.application} ${due.target}`;
      // Not waited for: one that is silent holds up nobody.
      const telling = tellOne({ ...params, timings }, due)
        .catch((error: unknown) => {
          if (!signal.aborted) log.error({ err: error, application: due.application }, "cannot tell a route");
        })
        .finally(() => underWay.delete(key));
      underWay.set(key, telling);
    }
  };
  const end = repeat(timings.look, "tell the routes", look, log);
  return async () => {
    await end();
    await Promise.all(underWay.values());
  };
}

async function tellOne(
  params: TellTrafficParams & { readonly timings: TrafficTimings },
  due: DueReceiver,
): Promise<void> {
  const { records, open, ownerOf, log, signal, timings } = params;
  const { application, target, timeoutMs } = due;
  // From before the claim: it is over when another replica may have the next one.
  const over = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  const telling = await records.claim(due, timeoutMs + claimReserveMs);
  if (telling === null) return;
  const { epoch, revision, route } = telling;
  const about = { application, target, epoch, revision, cluster: route?.cluster ?? null };
  try {
    await open(telling.plugin).tell({ ...telling, owner: ownerOf(application) }, over);
  } catch (error) {
    if (signal.aborted) return records.giveUp(telling);
    const { code, message } = toAppError(error);
    if (telling.tries === 1)
      log.warn({ ...about, code, ...(code === "internal" && { err: error }) }, message);
    return records.fail(telling, message, pauseAfter(telling, timings));
  }
  await records.confirm(telling);
  log.info(about, "the route is told");
}

const pauseAfter = ({ tries }: ClaimedTelling, { firstPause, longestPause }: TrafficTimings): number =>
  Math.min(firstPause * 2 ** Math.min(tries - 1, 20), longestPause);
