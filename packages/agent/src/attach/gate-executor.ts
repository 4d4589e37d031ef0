import { constants } from "node:fs";
import { open, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type ProcessIdentity, containerOf, isAlive, readStat, scanContainer } from "@baton/process-tree";
import { type AgentConfig, AppError, signalName } from "@baton/protocol";
import { applicationEnvironment } from "../application-environment.ts";
import { type Exit, createApplication, scanRun } from "../application.ts";
import { errorCode } from "../durable-file.ts";
import type { Executor } from "../executor.port.ts";
import type { RunFacts } from "../facts.ts";
import { gateOpening, gateScript } from "./gate-script.ts";

const pollMs = 20;
const appearMs = 200;
const openMs = 30_000;
const childMs = 5_000;
const exitFileMs = 3_000;

/**
 * Lets an application in another container run, by opening the gate that its command waits behind. The agent decides every start, so what it
 * sees end is proven to have ended.
 */
export async function createGateExecutor(params: {
  readonly config: AgentConfig;
  readonly directory: string;
  readonly inherited: Readonly<Record<string, string | undefined>>;
  readonly bootId: string;
}): Promise<Executor> {
  const { config, directory, inherited, bootId } = params;
  const file = (name: string): string => join(directory, name);
  const wordsOf = async (name: string): Promise<readonly string[]> =>
    (await readFile(file(name), "utf8").catch(() => "")).trim().split(" ");
  let opened = 0;
  await writeFile(file("gate.sh"), gateScript, { mode: 0o755 }).catch((cause: unknown) => {
    throw new AppError(
      "invalid-configuration",
      `cannot use the gate's directory ${directory}: it takes no write (${errorCode(cause) ?? "unknown reason"})`,
      { cause },
    );
  });

  const follow = (facts: RunFacts, child: ProcessIdentity, environment: Readonly<Record<string, string>>) =>
    createApplication({
      facts,
      root: child,
      exit: exitOf(child, facts),
      environment,
      scan: (seen) => scan(facts, seen),
    });

  /** The main process went away: how is what the gate wrote down, if it did. */
  const exitOf = async (child: ProcessIdentity, { cookie }: RunFacts): Promise<Exit | null> => {
    while (await isAlive(child).catch(() => true)) await delay(pollMs, undefined, { ref: false });
    for (const endAt = performance.now() + exitFileMs; performance.now() < endAt;) {
      const [said, status] = await wordsOf("exit");
      if (said === cookie) return exitByShell(Number(status));
      await delay(pollMs, undefined, { ref: false });
    }
    return null;
  };

  /** The shell that waits: it said so itself, and must be what it says. A number alone may be a stranger's by now. */
  const gateThatWaits = async (): Promise<{ readonly pid: number; readonly container: string } | null> => {
    const pid = Number((await wordsOf("waiting"))[0]);
    if (!Number.isSafeInteger(pid) || pid < 1 || pid === opened) return null;
    if (pid === 1 || pid === process.pid)
      throw new AppError(
        "agent-failed",
        "cannot open the gate: its process is not visible here; the containers must share their process namespace (shareProcessNamespace: true)",
      );
    const words = (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).split("\0");
    const container = words.includes(directory) ? containerOf(pid) : null;
    return container === null ? null : { pid, container };
  };

  return {
    scan,
    claimedOnly: false,
    withholdsPrivileges: async () => false,
    async appears(signal) {
      while ((await gateThatWaits()) === null) await delay(appearMs, undefined, { signal, ref: false });
    },
    async execute(facts, secrets) {
      const endAt = performance.now() + openMs;
      let gate = await gateThatWaits();
      while (gate === null) {
        if (performance.now() > endAt)
          throw new AppError(
            "application-not-ready",
            `cannot open the gate: nobody waits at it; the application's command must be: sh ${directory}/gate.sh ${directory} COMMAND…`,
          );
        await delay(pollMs);
        gate = await gateThatWaits();
      }
      const environment = applicationEnvironment({ config, facts, inherited, secrets });
      const { pid: mainPid, container: path } = gate;
      const isOurs = path === containerOf("self");
      await writeToGate(file("gate"), gateOpening(environment), endAt);
      opened = mainPid;
      const child = await childOf(facts.cookie, mainPid);
      return follow({ ...facts, container: isOurs ? null : { path, mainPid } }, child, environment);
    },
    async adopt(facts) {
      // No process outlives its boot.
      if (facts.bootId !== bootId) return null;
      const known = facts.process === null ? null : { ...facts.process, bootId };
      const seen = await scan(facts, known === null ? [] : [known]);
      const root = known ?? seen.members[0] ?? null;
      if (seen.members.length === 0 || root === null) {
        if (seen.settled && seen.unreadable.length === 0) return null;
        throw new Error(`cannot tell whether run ${facts.run.counter} of an earlier agent lives`);
      }
      const { pid, startTime } = root;
      return follow(facts, { pid, startTime, bootId }, {});
    },
  };

  async function childOf(cookie: string, gatePid: number): Promise<ProcessIdentity> {
    for (const endAt = performance.now() + childMs; performance.now() < endAt; await delay(pollMs)) {
      const [said, pid] = await wordsOf("running");
      if (said !== cookie) continue;
      const stat = await readStat(Number(pid));
      if (stat !== null && stat.ppid === gatePid) return { pid: stat.pid, startTime: stat.startTime, bootId };
      // It ended before we looked: no process has this start time, so it counts as dead.
      return { pid: Number(pid), startTime: "0", bootId };
    }
    throw new AppError("agent-failed", "cannot follow the application: the gate was opened and said nothing");
  }
}

/** By shell convention, which is all that a shell tells. */
function exitByShell(status: number): Exit {
  const signal = status > 128 ? signalName(status - 128) : null;
  return signal === null ? { code: status, signal: null } : { code: null, signal };
}

/** In a container of its own everything but the gate; in ours the run's kin. */
const scan: Executor["scan"] = (facts, seen) => {
  if (facts.container === null) return scanRun(facts, seen);
  const { path: container, mainPid: main } = facts.container;
  return scanContainer({ container, main, exclude: [process.pid, main] });
};

/** Opening for writing without waiting fails while nobody reads (ENXIO): then the shell is not there yet, or dead. */
async function writeToGate(path: string, text: string, endAt: number): Promise<void> {
  for (;;) {
    try {
      const gate = await open(path, constants.O_WRONLY | constants.O_NONBLOCK);
      try {
        await gate.writeFile(text);
      } finally {
        await gate.close();
      }
      return;
    } catch (error) {
      if (errorCode(error) !== "ENXIO" || performance.now() > endAt) throw error;
      await delay(pollMs);
    }
  }
}
