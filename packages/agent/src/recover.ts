import { type AgentState, AppError, type Run } from "@baton/protocol";
import type { ProcessIdentity } from "@baton/process-tree";
import { type Application, type ApplicationParams, createApplication } from "./application.ts";
import {
  type Facts,
  type OperationRecord,
  type RunFacts,
  changeRun,
  isToldToStop,
  mayFollow,
  neverExecuted,
} from "./facts.ts";
import type { Executor } from "./executor.port.ts";
import type { Journal } from "./journal.ts";
import { type Log, reasonOf } from "./log.ts";
import { endedByItself } from "./run-keeper.ts";
import { failed } from "./start-run.ts";

/** Where an agent stands when it starts. */
export interface Recovered {
  readonly state: AgentState;
  /** A run of an earlier life that lives, or that cannot be proven dead. */
  readonly application: Application | null;
  /** It may be in care of another agent, far from here: its lease is not ours to renew. */
  readonly isElsewhere: boolean;
  /** A run that is proven dead but of which the lease may not know. */
  readonly abandoned: RunFacts | null;
  /** A run that may go on as the next one: it died with its slot, nobody stopped it, and the lease still names it (rule 2). */
  readonly successorOf: Run | null;
}

/** Compares the journal with what is really there (rule 4), and records what has become certain. */
export async function recover(deps: {
  readonly journal: Journal;
  readonly executor: Executor;
  readonly self: ProcessIdentity;
  readonly pidNamespace: string | null;
  /** Of this life. */
  readonly slot: string | null;
  readonly hasLease: boolean;
  readonly log: Log;
}): Promise<Recovered> {
  const { journal, executor, slot, hasLease, log } = deps;
  const { self, pidNamespace } = deps;
  const at = new Date().toISOString();
  const rest = { application: null, isElsewhere: false, abandoned: null, successorOf: null };
  /** What lives would be seen from here, or its slot says that it does not. Anywhere else its state may only have been copied to us. */
  const canTell = (run: RunFacts): boolean =>
    (run.bootId === self.bootId && run.pidNamespace !== null && run.pidNamespace === pidNamespace) ||
    (slot !== null && run.slot === slot);

  /** Nothing is written on the lease, and nothing is called gone: it may be in care of another agent. */
  const doubt = async (
    run: RunFacts,
    reason: string,
    scan: ApplicationParams["scan"],
  ): Promise<Recovered> => {
    log("error", "it is not known whether the application lives", { reason });
    const isElsewhere = !canTell(run);
    // Its number would be a stranger's here.
    const root = run.process === null || isElsewhere ? null : { ...run.process, bootId: run.bootId };
    const application = createApplication({
      facts: run,
      root,
      exit: Promise.resolve(null),
      environment: {},
      claimedOnly: executor.claimedOnly,
      scan,
    });
    await journal.update((facts) => ({ ...failOpenStarts(facts), starting: null, run }));
    return { ...rest, state: "unknown", application, isElsewhere };
  };
  const outOfSight = (): Promise<never> => Promise.reject(new Error(elsewhere));

  const { starting } = journal.facts;
  if (starting !== null) {
    if (hasLease && !canTell(starting)) return doubt(starting, elsewhere, outOfSight);
    // The intent was never written, so nothing was executed; its data keys died with the earlier agent.
    const run: RunFacts = { ...starting, end: neverExecuted(self.bootId, at), endedBy: "never-executed" };
    await journal.update((facts) => failOpenStarts({ ...facts, starting: null, run }));
    return { ...rest, state: "crashed", abandoned: run };
  }

  const { run } = journal.facts;
  if (run === null) return { ...rest, state: "held" };
  if (run.end !== null) {
    const isRestart = run.endedBy === "itself" && mayFollow(run, slot);
    return {
      ...rest,
      state: run.endedBy === "stop" || run.endedBy === "platform" ? "stopped" : "crashed",
      successorOf: isRestart ? run.run : null,
    };
  }

  if (hasLease && !canTell(run)) return doubt(run, elsewhere, outOfSight);
  let application: Application | null;
  try {
    application = await executor.adopt(run);
  } catch (error) {
    return doubt(run, reasonOf(error), (seen) => executor.scan(run, seen));
  }
  if (application !== null) {
    log("info", "the application of an earlier life is adopted", { processes: application.known().length });
    const isStarting = openStarts(journal.facts).length > 0;
    const state = run.readyAt !== null ? "running" : isStarting ? "starting" : "unknown";
    return { ...rest, state, application };
  }
  const claimedOnly = executor.claimedOnly || !canTell(run);
  const end = endedByItself({ facts: run, ended: null, claimedOnly });
  const isTold = isToldToStop(journal.facts, run);
  const endedBy = isTold ? "stop" : "itself";
  const ended = await journal.update((facts) =>
    failOpenStarts(changeRun(facts, { end, endedBy, ...(isTold && { open: false }) })),
  );
  const follows = !isTold && mayFollow(run, slot);
  return {
    ...rest,
    state: isTold ? "stopped" : "crashed",
    abandoned: follows ? null : ended.run,
    successorOf: follows ? run.run : null,
  };
}

const elsewhere =
  "it was executed in another container or on another machine, whose processes are not to be seen from here; " +
  "only in the same slot (see --slot) are they dead for certain";

const openStarts = (facts: Facts): OperationRecord[] =>
  Object.values(facts.operations).filter(
    ({ kind, progress }) => kind === "start" && progress.state === "open",
  );

function failOpenStarts(facts: Facts): Facts {
  const error = new AppError(
    "agent-failed",
    "cannot finish the start: the agent died and the application does not live",
  );
  return openStarts(facts).reduce((all, record) => failed(all, record.key, error), facts);
}
