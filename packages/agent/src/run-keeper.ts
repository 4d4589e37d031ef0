import { waitUntilGone } from "@baton/process-tree";
import type { TreeScan } from "@baton/process-tree";
import { type AgentContext, note } from "./agent-context.ts";
import type { StateMachine } from "./agent-state.ts";
import type { Application } from "./application.ts";
import { type Ending, changeRun } from "./facts.ts";
import { reasonOf } from "./log.ts";
import { type StopBudget, stopApplication } from "./stop-application.ts";

const leaseStopMs = 2_000;

export interface StopOrder {
  readonly key: string;
  readonly operation: string;
  readonly epoch: number;
  readonly budget: StopBudget;
  readonly firstScan?: Promise<TreeScan> | undefined;
  /** `itself`: the application had ended by itself, only what is left of it is stopped. */
  readonly by: "stop" | "itself";
}

/** Keeps the one run that is not proven dead: sees its end, and ends it when told. */
export interface RunKeeper {
  /** Null when nothing lives. */
  readonly application: Application | null;
  /** Takes a run into care, whose state the machine shows already. */
  keep(application: Application): void;
  /** To be called when the machine left `starting`, where an exit is somebody else's to see. */
  noticeExit(): void;
  /** Lets go of the run without a word to it. */
  release(): void;
  /** Ends the run; a second caller joins the first. Needs a run. Never rejects. */
  stop(order: StopOrder): Promise<Ending>;
}

export function createRunKeeper(context: AgentContext, machine: StateMachine, onStop: () => void): RunKeeper {
  const { lease, effects, log } = context;
  let application: Application | null = null;
  let ending: Promise<Ending> | null = null;
  let watch: AbortController | null = null;

  /** Records a proven end, then gives the lease back; the two do not need each other. */
  const conclude = async (ended: Application, end: Ending, by: "stop" | "itself"): Promise<Ending> => {
    lease.stopRenewing();
    const facts = { ...ended.facts, end, endedBy: by };
    await Promise.all([
      note(context, (all) => changeRun(all, { end, endedBy: by, open: false })),
      lease.end(facts, leaseStopMs),
    ]);
    application = null;
    machine.send(by === "stop" ? "gone" : "died");
    return end;
  };

  const share = (work: Promise<Ending>): Promise<Ending> => {
    ending = work.finally(() => {
      ending = null;
    });
    return ending;
  };

  /** The direct child is gone by itself: looks until the rest of its tree is too. */
  const watchRest = async (rest: Application, abort: AbortSignal): Promise<void> => {
    for (let waitMs = 2_000; !abort.aborted; waitMs = 60_000) {
      const deadlineAt = performance.now() + waitMs;
      const pollMs = waitMs === 2_000 ? 5 : 250;
      const known = rest.known();
      const result = await waitUntilGone({
        scan: () => rest.scan(),
        known,
        deadlineAt,
        pollMs,
        signal: abort,
      }).catch((error: unknown) =>
        log("warn", "cannot see what is left of the application", { reason: reasonOf(error) }),
      );
      if (abort.aborted) return;
      if (result?.gone === true) {
        log("warn", "the application ended by itself", { exit: rest.ended?.exit ?? null });
        await share(conclude(rest, endedByItself(rest), "itself"));
        return;
      }
      if (machine.state === "verifying") machine.send("unproven");
      if (result === undefined) await new Promise((resolve) => setTimeout(resolve, 1_000).unref());
    }
  };

  const beginWatch = (rest: Application): void => {
    watch = new AbortController();
    watchRest(rest, watch.signal).catch((error: unknown) =>
      log("error", "the watch over the application failed", { reason: reasonOf(error) }),
    );
  };

  const onExit = (ended: Application): void => {
    if (application !== ended) return;
    // While starting, whoever waits for readiness sees it and stops the rest.
    if (machine.state === "running" || machine.state === "stopping") machine.send("exit");
    if (ending === null && (machine.state === "verifying" || machine.state === "unknown")) beginWatch(ended);
  };

  const end = async (target: Application, order: StopOrder): Promise<Ending> => {
    const exitedBefore = target.ended !== null;
    const result = await stopApplication({
      application: target,
      hook: context.config.hook,
      budget: order.budget,
      firstScan: order.firstScan ?? target.scan(),
      exitedBefore,
      onSignal: () => {
        const { operation, key, epoch } = order;
        effects
          .record({ effect: "signal", operation, key, epoch })
          .catch((error: unknown) => log("warn", "an effect was not logged", { reason: reasonOf(error) }));
      },
    });
    log("info", "the stop ended", { key: order.key, outcome: result.outcome, stopMs: result.timings.stopMs });
    if (result.evidence.treeGone) return conclude(target, result, order.by);
    const isRunning = machine.state === "stopping" && target.ended === null && result.outcome === "refused";
    machine.send(isRunning ? "stillRunning" : "unproven");
    if (target.ended !== null) beginWatch(target);
    return result;
  };

  return {
    get application() {
      return application;
    },
    keep(kept) {
      application = kept;
      kept.exited
        .then(() => onExit(kept))
        .catch((error: unknown) =>
          log("error", "the exit could not be handled", { reason: reasonOf(error) }),
        );
    },
    noticeExit() {
      if (application !== null && application.ended !== null) onExit(application);
    },
    release() {
      application = null;
      watch?.abort();
    },
    stop(order) {
      if (ending !== null) return ending;
      if (application === null) throw new Error("cannot stop: no run is kept");
      machine.send("stop");
      watch?.abort();
      onStop();
      return share(end(application, order));
    },
  };
}

/** The end of a run that nobody stopped. */
export const endedByItself = (application: Pick<Application, "ended" | "facts">): Ending => ({
  outcome: "already-stopped",
  evidenceClass: "proven",
  exit: application.ended?.exit ?? null,
  signals: [],
  evidence: { treeGone: true, remaining: [], bootId: application.facts.bootId },
  timings: {
    signalledAt: null,
    exitedAt: application.ended?.at ?? null,
    verifiedAt: new Date().toISOString(),
    stopMs: null,
  },
});
