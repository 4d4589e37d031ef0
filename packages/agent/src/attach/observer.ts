import { readFile, readdir } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import {
  type ProcessIdentity,
  type ProcessStat,
  containerOf,
  isAlive,
  readStat,
  scanContainer,
  scanTree,
} from "@baton/process-tree";
import { AppError, type AttachTarget, cookieVariable } from "@baton/protocol";
import { type Exit, createApplication } from "../application.ts";
import type { Executor } from "../executor.port.ts";
import type { RunFacts } from "../facts.ts";
import { reasonOf } from "../log.ts";

type Target = Exclude<AttachTarget, { by: "gate" }>;

const appearMs = 1_000;
const pollMs = 50;

interface Found {
  readonly root: ProcessIdentity;
  /** Null when it is our own: then only its kin is the application. */
  readonly container: string | null;
}

/**
 * Looks at an application that somebody else executes and may execute again: what it says of its end is a claim (rule 1). Never PID 1, the agent
 * itself or one of its ancestors, and never a choice between several.
 */
export function createObserver(params: { readonly target: Target; readonly bootId: string }): Executor {
  const { target, bootId } = params;
  let taken: string | null = null;
  /** The last reason why nothing could be taken: said once. */
  let told = "";
  const nameOf = ({ pid, startTime }: ProcessIdentity): string => `${pid}:${startTime}`;

  const follow = (facts: RunFacts, { root, container }: Found) => {
    const watched: RunFacts = {
      ...facts,
      since: root.startTime,
      container: container === null ? null : { path: container, mainPid: root.pid },
    };
    return createApplication({
      facts: watched,
      root,
      exit: endOf(root),
      environment: {},
      claimedOnly: true,
      scan: (seen) => scan(watched, seen),
    });
  };

  const find = async (): Promise<Found | null> => {
    const table = await processes();
    const roots = await rootsOf(target, table);
    if (roots.length > 1)
      throw new AppError(
        "wrong-state",
        `cannot attach: ${roots.length} processes fit (${roots.map(({ pid, comm }) => `${pid} ${comm}`).join(", ")}); name a container or a pidfile`,
      );
    const [stat] = roots;
    if (stat === undefined) return null;
    const container = containerOf(stat.pid);
    if (container === null) return null;
    const isOurs = container === containerOf("self");
    return {
      root: { pid: stat.pid, startTime: stat.startTime, bootId },
      container: isOurs ? null : container,
    };
  };

  return {
    scan,
    claimedOnly: true,
    withholdsPrivileges: async () => false,
    async appears(signal) {
      for (;;) {
        const found = await find().catch((error: unknown) => {
          const reason = reasonOf(error);
          if (reason === told) return null;
          told = reason;
          throw error;
        });
        if (found !== null && nameOf(found.root) !== taken) return;
        await delay(appearMs, undefined, { signal, ref: false });
      }
    },
    async execute(facts) {
      const found = await find();
      if (found === null)
        throw new AppError(
          "wrong-state",
          "cannot start: without a gate the agent executes nothing, it looks at what somebody else started; there is no such process now",
        );
      taken = nameOf(found.root);
      return follow(facts, found);
    },
    async adopt(facts) {
      if (facts.bootId !== bootId || facts.process === null) return null;
      const { pid, startTime } = facts.process;
      const root = { pid, startTime, bootId };
      const container = facts.container?.path ?? null;
      taken = nameOf(root);
      const application = follow(facts, { root, container });
      const { members, unreadable, settled } = await application.scan();
      if (members.length > 0) return application;
      if (settled && unreadable.length === 0) return null;
      throw new Error("cannot tell whether the application of an earlier life lives");
    },
  };
}

/** In a container of its own everything; in ours only the kin of what was found, since nobody bears the cookie. */
const scan: Executor["scan"] = (facts, seen) => {
  const { container: place, since } = facts;
  if (place !== null)
    return scanContainer({ container: place.path, main: place.mainPid, exclude: [process.pid] });
  const cookie = { name: cookieVariable, value: facts.cookie };
  return scanTree({ cookie, roots: seen, since, exclude: [process.pid, 1] });
};

async function endOf(root: ProcessIdentity): Promise<Exit | null> {
  while (await isAlive(root).catch(() => true)) await delay(pollMs, undefined, { ref: false });
  return null;
}

async function processes(): Promise<ReadonlyMap<number, ProcessStat>> {
  const table = new Map<number, ProcessStat>();
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const stat = await readStat(Number(name));
    if (stat !== null && !stat.kernelThread) table.set(stat.pid, stat);
  }
  // Never PID 1, ourselves, or what we descend from.
  table.delete(1);
  for (let pid = process.pid; pid > 1;) {
    const parent = table.get(pid)?.ppid ?? 0;
    table.delete(pid);
    pid = parent;
  }
  return table;
}

/** The first process of each tree that fits. */
async function rootsOf(target: Target, table: ReadonlyMap<number, ProcessStat>): Promise<ProcessStat[]> {
  const fits = await fitting(target, table);
  const isUnder = (stat: ProcessStat): boolean => {
    const parent = table.get(stat.ppid);
    return parent !== undefined && (fits.has(parent.pid) || isUnder(parent));
  };
  const roots = [...fits.values()].filter((stat) => !isUnder(stat));
  if (target.by !== "container") return roots;
  // Of a container: what it was started with. Shells that were executed into it came later.
  const [oldest] = roots.toSorted(
    (a, b) => Number(BigInt(a.startTime) - BigInt(b.startTime)) || a.pid - b.pid,
  );
  const containers = new Set(roots.map(({ pid }) => containerOf(pid)));
  return containers.size > 1 ? roots : oldest === undefined ? [] : [oldest];
}

async function fitting(
  target: Target,
  table: ReadonlyMap<number, ProcessStat>,
): Promise<ReadonlyMap<number, ProcessStat>> {
  const fits = new Map<number, ProcessStat>();
  if (target.by === "pidfile") {
    const pid = Number((await readFile(target.file, "utf8").catch(() => "")).trim().split(/\s/)[0]);
    const stat = table.get(pid);
    if (stat !== undefined) fits.set(pid, stat);
    return fits;
  }
  const own = containerOf("self");
  const pattern = target.by === "match" ? new RegExp(target.pattern) : null;
  for (const stat of table.values()) {
    if (pattern === null) {
      const container = containerOf(stat.pid);
      if (target.by === "container" && container !== own && container?.includes(target.container) === true)
        fits.set(stat.pid, stat);
      continue;
    }
    const line = (await readFile(`/proc/${stat.pid}/cmdline`, "utf8").catch(() => ""))
      .replaceAll("\0", " ")
      .trim();
    if (line !== "" && pattern.test(line)) fits.set(stat.pid, stat);
  }
  return fits;
}
