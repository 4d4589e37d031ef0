import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type Harbour, clusters, readAgent } from "@baton/example-ledger/demo";
import { type Operation, cookieVariable } from "@baton/protocol";
import { type ProcessIdentity, identify, isAlive, signalProcess } from "@baton/process-tree";
import type { Blow, Victim } from "./torment.ts";

export interface Struck {
  /** Whether there was anybody to meet. */
  readonly met: boolean;
  /** Once whoever was paused goes on. */
  readonly over: Promise<void>;
}

/** @param operation as it was seen last: it names the placements. */
export async function strike(harbour: Harbour, operation: Operation, blow: Blow): Promise<Struck> {
  const victim = await find(harbour, operation, blow.victim);
  if (victim === null) return { met: false, over: Promise.resolve() };
  const sent = await signalProcess(victim, blow.how === "kill" ? "SIGKILL" : "SIGSTOP");
  return {
    met: sent === "sent",
    over: blow.how === "kill" ? Promise.resolve() : goOn(victim, blow.pauseMs),
  };
}

async function goOn(victim: ProcessIdentity, pauseMs: number): Promise<void> {
  await delay(pauseMs);
  await signalProcess(victim, "SIGCONT");
}

async function find(
  harbour: Harbour,
  { source, target }: Operation,
  victim: Victim,
): Promise<ProcessIdentity | null> {
  if (victim === "orchestrator" || victim === "postgres" || victim === "store")
    return harbour.processOf(victim);
  const [side, part] = victim.split(" ");
  const placement = side === "source" ? source : target;
  if (placement === null) return null;
  return part === "agent" ? findAgent(harbour, placement) : findApplication(placement);
}

async function findAgent({ directory }: Harbour, placement: string): Promise<ProcessIdentity | null> {
  for (const cluster of clusters) {
    const agent = await readAgent(join(directory, cluster, "placements", placement));
    if (agent !== null && (await isAlive(agent))) return agent;
  }
  return null;
}

/** By what every process of a placement's run bears; the ledger is one process. */
async function findApplication(placement: string): Promise<ProcessIdentity | null> {
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const environment = await readFile(`/proc/${name}/environ`, "utf8").catch(() => "");
    if (environment.split("\0").some((variable) => variable.startsWith(`${cookieVariable}=${placement}:`)))
      return identify(Number(name));
  }
  return null;
}
