import type { ProcessIdentity, TreeScan } from "@baton/process-tree";
import { scanTree } from "@baton/process-tree";
import { type Receipt, cookieVariable } from "@baton/protocol";
import type { RunFacts } from "./facts.ts";

export type Exit = NonNullable<Receipt["exit"]>;

/** One run of the application as the agent sees it: executed by it, or found again after its own restart. */
export interface Application {
  readonly facts: RunFacts;
  /** The direct child; null when it could not be executed, or died before anyone noted its id. */
  readonly root: ProcessIdentity | null;
  /** Resolves when the direct child is gone; never rejects. */
  readonly exited: Promise<void>;
  /** Set once `exited`: `exit` is null when the status is unknown (not our child any more), `at` is ISO 8601. */
  readonly ended: { readonly exit: Exit | null; readonly at: string } | null;
  /** Nobody keeps it from starting again, so that its end can be claimed only. */
  readonly claimedOnly: boolean;
  /** What it was executed with, for the hook's commands. Holds its data keys: kept in memory only. */
  environment(): Readonly<Record<string, string>>;
  /** Every process of the run that was ever seen, dead ones too. */
  known(): readonly ProcessIdentity[];
  /** Looks at every process of the machine; what it finds is known from then on. @throws when it cannot be known */
  scan(): Promise<TreeScan>;
}

export interface ApplicationParams {
  readonly facts: RunFacts;
  readonly root: ProcessIdentity | null;
  /** Resolves with the exit status, null for an unknown one. */
  readonly exit: Promise<Exit | null>;
  readonly environment: Readonly<Record<string, string>>;
  readonly claimedOnly?: boolean | undefined;
  /** How its processes are found; the run's cookie and its kin by default. */
  readonly scan?: ((seen: readonly ProcessIdentity[]) => Promise<TreeScan>) | undefined;
}

export function createApplication(params: ApplicationParams): Application {
  const { facts, root, exit, environment, claimedOnly = false } = params;
  const look = params.scan ?? ((known) => scanRun(facts, known));
  const seen = new Map<string, ProcessIdentity>();
  const remember = (identity: ProcessIdentity): void => {
    const { pid, startTime, bootId } = identity;
    seen.set(`${pid}:${startTime}`, { pid, startTime, bootId });
  };
  if (root !== null) remember(root);
  let ended: Application["ended"] = null;
  const exited = exit.then((status) => {
    ended = { exit: status, at: new Date().toISOString() };
  });
  return {
    facts,
    root,
    exited,
    claimedOnly,
    environment: () => environment,
    get ended() {
      return ended;
    },
    known: () => [...seen.values()],
    async scan() {
      const scan = await look([...seen.values()]);
      for (const member of scan.members) remember(member);
      return scan;
    },
  };
}

/** Every living process of a run. @throws when /proc cannot be trusted */
export const scanRun = (facts: RunFacts, roots: readonly ProcessIdentity[]): Promise<TreeScan> =>
  scanTree({
    cookie: { name: cookieVariable, value: facts.cookie },
    roots,
    since: facts.since,
    exclude: [process.pid],
    noNewPrivileges: facts.noNewPrivileges,
  });
