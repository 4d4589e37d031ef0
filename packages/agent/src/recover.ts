import { type AgentState, AppError } from "@baton/protocol";
import type { ProcessIdentity } from "@baton/process-tree";
import { adoptApplication } from "./adopt.ts";
import { type Application, createApplication } from "./application.ts";
import { type Facts, type OperationRecord, type RunFacts, changeRun, neverExecuted } from "./facts.ts";
import type { Journal } from "./journal.ts";
import { type Log, reasonOf } from "./log.ts";
import { endedByItself } from "./run-keeper.ts";
import { failed } from "./start-run.ts";

/** Where an agent stands when it starts. */
export interface Recovered {
  readonly state: AgentState;
  /** A run of an earlier life that lives, or that cannot be proven dead. */
  readonly application: Application | null;
  /** A run that is proven dead but of which the lease may not know. */
  readonly abandoned: RunFacts | null;
}

/** Compares the journal with what is really there (rule 4), and records what has become certain. */
export async function recover(deps: {
  readonly journal: Journal;
  readonly self: ProcessIdentity;
  readonly log: Log;
}): Promise<Recovered> {
  const { journal, self, log } = deps;
  const at = new Date().toISOString();
  const { starting } = journal.facts;
  if (starting !== null) {
    // The intent was never written, so nothing was executed; its data keys died with the earlier agent.
    const run: RunFacts = { ...starting, end: neverExecuted(self.bootId, at), endedBy: "never-executed" };
    await journal.update((facts) => failOpenStarts({ ...facts, starting: null, run }));
    return { state: "crashed", application: null, abandoned: run };
  }

  const { run } = journal.facts;
  if (run === null) return { state: "held", application: null, abandoned: null };
  if (run.end !== null)
    return { state: run.endedBy === "stop" ? "stopped" : "crashed", application: null, abandoned: null };

  let application: Application | null;
  try {
    application = await adoptApplication(run, self.bootId);
  } catch (error) {
    log("error", "it is not known whether the application lives", { reason: reasonOf(error) });
    const root = run.process === null ? null : { ...run.process, bootId: run.bootId };
    const doubtful = createApplication({ facts: run, root, exit: Promise.resolve(null) });
    await journal.update(failOpenStarts);
    return { state: "unknown", application: doubtful, abandoned: null };
  }
  if (application !== null) {
    log("info", "the application of an earlier life is adopted", { processes: application.known().length });
    const isStarting = openStarts(journal.facts).length > 0;
    const state = run.readyAt !== null ? "running" : isStarting ? "starting" : "unknown";
    return { state, application, abandoned: null };
  }
  const end = endedByItself({ facts: run, ended: null });
  const ended = await journal.update((facts) =>
    failOpenStarts(changeRun(facts, { end, endedBy: "itself", open: false })),
  );
  return { state: "crashed", application: null, abandoned: ended.run };
}

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
