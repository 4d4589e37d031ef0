import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import type { ProcessIdentity } from "@baton/process-tree";
import { isAlive } from "@baton/process-tree";
import { cookieVariable } from "@baton/protocol";
import { type Application, createApplication, scanRun } from "./application.ts";
import type { RunFacts } from "./facts.ts";

const pollMs = 50;

/**
 * Finds a run of an earlier life of this agent again: its living tree, or null when it is proven dead.
 *
 * @throws when neither can be proven
 */
export async function adoptApplication(facts: RunFacts, bootId: string): Promise<Application | null> {
  // No process outlives its boot.
  if (facts.bootId !== bootId) return null;
  const recorded =
    facts.process === null
      ? null
      : { pid: facts.process.pid, startTime: facts.process.startTime, bootId: facts.bootId };
  const scan = await scanRun(facts, recorded === null ? [] : [recorded]);
  if (scan.members.length === 0) {
    if (scan.settled && scan.unreadable.length === 0) return null;
    throw new Error(
      `cannot tell whether run ${facts.run.counter} of an earlier agent lives: not everything is readable`,
    );
  }
  const oldest = [...scan.members].sort(
    (a, b) => Number(BigInt(a.startTime) - BigInt(b.startTime)) || a.pid - b.pid,
  )[0];
  const root = recorded ?? oldest ?? null;
  const application = createApplication({
    facts,
    root,
    exit: root === null ? Promise.resolve(null) : deathOf(root),
    environment: await environmentOf(scan.members, facts.cookie),
  });
  await application.scan();
  return application;
}

/** What the run was executed with, from a process that still bears its cookie; empty when none can be read. */
async function environmentOf(
  members: readonly ProcessIdentity[],
  cookie: string,
): Promise<Readonly<Record<string, string>>> {
  for (const { pid } of members) {
    const content = await readFile(`/proc/${pid}/environ`, "utf8").catch(() => "");
    const entries = content.split("\0").flatMap((entry) => {
      const at = entry.indexOf("=");
      return at < 1 ? [] : [[entry.slice(0, at), entry.slice(at + 1)] as const];
    });
    const environment = Object.fromEntries(entries);
    if (environment[cookieVariable] === cookie) return environment;
  }
  return {};
}

/** An adopted process is no child of ours: nobody tells us of its end, and its status went to somebody else. */
async function deathOf(root: ProcessIdentity): Promise<null> {
  for (;;) {
    // A look that fails says nothing; the next one may.
    if (!(await isAlive(root).catch(() => true))) return null;
    await delay(pollMs, undefined, { ref: false });
  }
}
