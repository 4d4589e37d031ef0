import { setTimeout as delay } from "node:timers/promises";
import { waitUntilGone } from "@baton/process-tree";
import type { TreeScan } from "@baton/process-tree";
import type { Check } from "@baton/protocol";
import { type AgentContext, note } from "./agent-context.ts";
import type { StateMachine } from "./agent-state.ts";
import type { Application } from "./application.ts";
import type { Deadline } from "./deadline.ts";
import { type Ending, changeRun, mayFollow } from "./facts.ts";
import { isStopped } from "./judge-ending.ts";
import { reasonOf } from "./log.ts";
import { type Proof, beginProof } from "./proof.ts";
import { type SocketProof, observeSockets } from "./socket-proof.ts";
import { stopApplication } from "./stop-application.ts";
import { storeAddress } from "./store-address.ts";

const leaseStopMs = 2_000;
/** The main process is gone already: what it held cannot be asked any more. */
const nobody = { members: [], unreadable: [] };

export interface StopOrder {
  readonly key: string;
  readonly operation: string;
  readonly epoch: number;
  readonly deadline: Deadline;
  readonly firstScan?: Promise<TreeScan> | undefined;
  /** SIGKILL may follow the last signal, whatever the hook says. */
  readonly kill?: boolean | undefined;
  /** `itself`: the application had ended by itself, only what is left of it is stopped. */
  readonly by: "stop" | "platform" | "itself";
}

/** Keeps the one run that is not proven dead: sees its end, and ends it when told. */
export interface RunKeeper {
  /** Null when nothing lives. */
  readonly application: Application | null;
  /** The end of the stop that is under way; null when none is. */
  readonly deadline: Deadline | null;
  /** Takes a run into care, whose state the machine shows already. */
  keep(application: Application): void;
  /** To be called when the machine left `starting`, where an exit is somebody else's to see. */
  noticeExit(): void;
  /** Notes what it looks like while it serves, for the case that it ends unasked. */
  observe(application: Application): Promise<void>;
  /** Lets go of the run without a word to it. */
  release(): void;
  /** Ends the run; a second caller joins the first. Needs a run. Never rejects. */
  stop(order: StopOrder): Promise<Ending>;
}

export interface RunKeeperEvents {
  /** A stop begins. */
  readonly onStop: () => void;
  /** A run ended that nobody stopped, and that is recorded. */
  readonly onOwnEnd: (application: Application, ending: Ending) => void;
  /** What a stop had left is gone at last. */
  readonly onRestGone: () => void;
}

export function createRunKeeper(
  context: AgentContext,
  machine: StateMachine,
  { onStop, onOwnEnd, onRestGone }: RunKeeperEvents,
): RunKeeper {
  const { config, lease, effects, log } = context;
  const store = storeAddress(config.storage);
  let application: Application | null = null;
  let ending: Promise<Ending> | null = null;
  let deadline: Deadline | null = null;
  let watch: AbortController | null = null;
  let seen: SocketProof | null = null;
  /** Who told it to end, while the last stop left it in doubt: what ends after that has not ended by itself. */
  let told: StopOrder["by"] = "itself";

  /** Records a proven end, then gives the lease back; the two do not need each other. */
  const conclude = async (ended: Application, end: Ending, by: StopOrder["by"]): Promise<Ending> => {
    lease.stopRenewing();
    const facts = { ...ended.facts, end, endedBy: by };
    // What ended by itself may follow in its slot, and lets in whom this run let in.
    const closed = by === "itself" ? {} : { open: false };
    const recorded = note(context, (all) => changeRun(all, { end, endedBy: by, ...closed })).catch(
      (error: unknown) => log("error", "the end cannot be recorded", { reason: reasonOf(error) }),
    );
    // The platform starts it again in its slot: the lease goes from this run to the next, if nobody takes it away before (rule 2).
    const goesOn =
      by === "itself" &&
      config.afterExit === "exit" &&
      config.start === "immediately" &&
      mayFollow(facts, config.slot);
    void context.keyServer.end();
    await Promise.all([recorded, goesOn || lease.end(facts, leaseStopMs)]);
    application = null;
    machine.end(by === "itself" ? "died" : "gone", end.evidence);
    return end;
  };

  const share = (work: Promise<Ending>): Promise<Ending> => {
    ending = work.finally(() => {
      ending = null;
      deadline = null;
    });
    return ending;
  };

  /** The direct child is gone: looks until the rest of its tree is too. `by`: a stop that could not prove it, or nobody. */
  const watchRest = async (rest: Application, by: StopOrder["by"], abort: AbortSignal): Promise<void> => {
    let proof: Proof | null = null;
    let reported: string | null = null;
    for (let waitMs = 2_000; !abort.aborted; waitMs = 60_000) {
      try {
        proof ??= await beginProof({
          application: rest,
          scan: nobody,
          hook: config.hook,
          store,
          earlier: seen,
        });
        const deadlineAt = performance.now() + waitMs;
        const pollMs = waitMs === 2_000 ? 5 : 250;
        const known = rest.known();
        const scan = () => rest.scan();
        const result = await waitUntilGone({ scan, known, deadlineAt, pollMs, signal: abort });
        const checks = result.gone ? await proof.check(performance.now() + waitMs) : [];
        if (abort.aborted) return;
        const open = checks.filter(({ state }) => state !== "passed");
        if (open.length > 0)
          log("warn", "the application ended, but not all of it is over", { checks: open });
        if (isStopped({ treeGone: result.gone, checks })) {
          log("warn", by === "itself" ? "the application ended by itself" : "what was left is gone", {
            exit: rest.ended?.exit ?? null,
          });
          const end = endedByItself(rest, checks);
          await share(conclude(rest, end, by));
          // What was told to stop has not ended by itself: an agent that left would have it started again.
          if (by === "itself") onOwnEnd(rest, end);
          else onRestGone();
          return;
        }
      } catch (error) {
        if (abort.aborted) return;
        const reason = reasonOf(error);
        if (reason !== reported) log("warn", "cannot see what is left of the application", { reason });
        reported = reason;
        await delay(1_000, undefined, { ref: false });
      }
      if (machine.state === "verifying") machine.send("unproven");
    }
  };

  const beginWatch = (rest: Application, by: StopOrder["by"]): void => {
    watch = new AbortController();
    watchRest(rest, by, watch.signal).catch((error: unknown) =>
      log("error", "the watch over the application failed", { reason: reasonOf(error) }),
    );
  };

  const onExit = (ended: Application): void => {
    if (application !== ended) return;
    // While starting, whoever waits for readiness sees it and stops the rest.
    if (machine.state !== "starting" && machine.can("exit")) machine.send("exit");
    if (ending === null && (machine.state === "verifying" || machine.state === "unknown"))
      beginWatch(ended, told);
  };

  const end = async (target: Application, order: StopOrder, wasReady: boolean): Promise<Ending> => {
    const exitedBefore = target.ended !== null;
    const result = await stopApplication({
      application: target,
      hook: order.kill === true ? { ...config.hook, killAllowed: true } : config.hook,
      deadline: order.deadline,
      store,
      earlier: seen,
      workingDirectory: config.workload?.workingDirectory,
      firstScan: order.firstScan ?? target.scan(),
      exitedBefore,
      wasReady,
      onDrained: () => {
        if (machine.state === "draining") machine.send("drained");
      },
      onQuiesced: () => {
        if (machine.state === "quiescing") machine.send("quiesced");
      },
      onSignal: () => {
        const { operation, key, epoch } = order;
        effects
          .record({ effect: "signal", operation, key, epoch })
          .catch((error: unknown) => log("warn", "an effect was not logged", { reason: reasonOf(error) }));
      },
    });
    log("info", "the stop ended", { key: order.key, outcome: result.outcome, stopMs: result.timings.stopMs });
    if (isStopped(result.evidence)) return conclude(target, result, order.by);
    const refused = config.hook.onRefused === "serve" ? "refusedServing" : "refusedHeld";
    const livesOn = target.ended === null && result.outcome === "refused" && machine.can(refused);
    machine.send(livesOn ? refused : "unproven");
    told = livesOn ? "itself" : order.by;
    if (target.ended !== null) beginWatch(target, order.by);
    return result;
  };

  return {
    get application() {
      return application;
    },
    get deadline() {
      return deadline;
    },
    keep(kept) {
      application = kept;
      seen = null;
      told = "itself";
      kept.exited
        .then(() => onExit(kept))
        .catch((error: unknown) =>
          log("error", "the exit could not be handled", { reason: reasonOf(error) }),
        );
    },
    noticeExit() {
      if (application !== null && application.ended !== null) onExit(application);
    },
    async observe(living) {
      const scan = await living.scan();
      const { since, noNewPrivileges } = living.facts;
      const sockets = await observeSockets({ scan, store, since, noNewPrivileges });
      if (application === living && sockets.hasSeen) seen = sockets;
    },
    release() {
      application = null;
      watch?.abort();
    },
    stop(order) {
      if (ending !== null) return ending;
      if (application === null) throw new Error("cannot stop: no run is kept");
      const wasReady = machine.state === "running" || machine.state === "refused";
      machine.send("stop");
      watch?.abort();
      onStop();
      deadline = order.deadline;
      return share(end(application, order, wasReady));
    },
  };
}

/** The end of a run that nobody stopped. */
export const endedByItself = (
  application: Pick<Application, "ended" | "facts" | "claimedOnly">,
  checks: readonly Check[] = [],
): Ending => ({
  outcome: "already-stopped",
  evidenceClass: application.claimedOnly ? "claimed" : "proven",
  exit: application.ended?.exit ?? null,
  signals: [],
  phases: [],
  evidence: { treeGone: true, remaining: [], checks: [...checks], bootId: application.facts.bootId },
  timings: {
    signalledAt: null,
    exitedAt: application.ended?.at ?? null,
    verifiedAt: new Date().toISOString(),
    stopMs: null,
  },
});
