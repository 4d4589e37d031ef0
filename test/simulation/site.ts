import { noFacts } from "@baton/agent/testing";
import { AppError, type Receipt, sameRun } from "@baton/protocol";
import type { Witness } from "@baton/clusters";
import type { ObjectStore } from "@baton/storage";
import { type Machine, type Random, type Scheduler, createMachine } from "@baton/storage/simulation";
import { startAgent } from "./agent.ts";
import type { Agent, AgentFiles } from "./agent-records.ts";
import { type Application, type ApplicationManners, startApplication } from "./application.ts";
import { type Disk, createDisk } from "./disk.ts";
import { moment } from "./names.ts";
import type { Oracle } from "./oracle.ts";
import type { Sights } from "./sights.ts";
import type { DataKey } from "./store.ts";

export interface Placement {
  readonly id: string;
  readonly machine: Machine;
  /** In whichever life it is; null while it is down. */
  readonly agent: Agent | null;
  /** Every run that was executed; the last one last. */
  readonly runs: readonly Application[];
  /** Its application ended otherwise than by a stop. */
  readonly wasKilled: boolean;
}

/** One cluster: a control plane, and the machine on which its placements are. */
export interface Site {
  readonly name: string;
  /** The control plane, which does not go down. */
  readonly api: Machine;
  readonly placements: readonly Placement[];
  /** The witness cannot say anything. */
  isBlind: boolean;
  place(placement: string): Placement;
  find(placement: string): Placement | null;
  witness(placement: string): Witness;
  /** @throws AppError `wrong-state` while any process of the application lives */
  remove(placement: string): void;
  freeze(kind: "pause" | "suspend", forMs: number): void;
  jumpClocks(byMs: number): void;
  crash(kind: "agents" | "containers" | "power", restartAfterMs: number): void;
  killApplications(): void;
}

export interface SiteDeps {
  readonly name: string;
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly oracle: Oracle;
  readonly sights: Sights;
  readonly hasFence: boolean;
  readonly onRefused: "serve" | "hold";
  readonly agentSyncMs: () => number;
  readonly note: (line: string) => void;
  readonly newEntry: () => number;
  /** Whether the placement is one that is made for the first time; its manners. */
  readonly mannersOf: (placement: string) => ApplicationManners;
  readonly controlStore: (machine: Machine) => ObjectStore;
  readonly dataStore: (machine: Machine, key: DataKey) => ObjectStore;
  /** Sends a receipt to the orchestrators; whether one has it. */
  readonly confirm: (from: Machine, receipt: Receipt) => Promise<boolean>;
}

interface Inside extends Placement {
  agent: Agent | null;
  wasKilled: boolean;
  readonly runs: Application[];
  readonly machines: Machine[];
  readonly disk: Disk<AgentFiles>;
}

export function createSite(deps: SiteDeps): Site {
  const { name, scheduler, random, oracle, sights, note } = deps;
  const placements = new Map<string, Inside>();
  const removed = new Set<string>();
  let poweredAtMs = 0;

  const api = createMachine({ name: `control plane on ${name}`, scheduler, main: () => {} });
  api.start();

  const make = (id: string): Inside => {
    const number = Number(id.slice(3));
    const manners = deps.mannersOf(id);
    const disk = createDisk<AgentFiles>({
      initial: { facts: noFacts, receipts: {} },
      syncMs: deps.agentSyncMs,
      scheduler,
    });
    const runs: Application[] = [];
    const machines: Machine[] = [];
    const machine = createMachine({
      name: `agent ${number} on ${name}`,
      scheduler,
      main: () => {
        // Another life in the same slot: what an ended run had left was in the container before (rule 2).
        for (const one of runs) if (one.exit !== null) one.kill();
        inside.agent = startAgent({
          machine,
          placement: id,
          disk,
          store: deps.controlStore(machine),
          random,
          oracle,
          sights,
          hasSecrets: deps.hasFence,
          onRefused: deps.onRefused,
          log: (message) => note(`${machine.name}: ${message}`),
          find: (run) => runs.find((one) => sameRun(one.run, run)) ?? null,
          execute: ({ run, epoch, open }) => {
            const own = createMachine({
              name: `application ${number} on ${name}`,
              scheduler,
              main: () => {},
            });
            own.start();
            machines.push(own);
            note(`${own.name}: begins, epoch ${epoch}`);
            const started = startApplication({
              machine: own,
              store: deps.dataStore(own, { placement: id, epoch }),
              run,
              epoch,
              manners: runs.length === 0 ? manners : { ...manners, start: "well" },
              isOpen: open,
              random,
              oracle,
              newEntry: deps.newEntry,
              onExit: () => {
                const { exit } = started;
                note(`${own.name}: ended, ${exit?.signal ?? `exit code ${exit?.code}`}`);
                if (exit?.code !== 0) inside.wasKilled = true;
                machine.deliver(random.between(1, 10), "child ended", () => inside.agent?.exited());
              },
            });
            runs.push(started);
            return started;
          },
          leave: () => {
            inside.wasKilled = true;
            machine.crash(random.between(100, 2_000));
          },
          confirm: (receipt) => deps.confirm(machine, receipt),
        });
      },
    });
    const inside: Inside = { id, machine, disk, runs, machines, agent: null, wasKilled: false };
    return inside;
  };
  const all = (): readonly Inside[] => [...placements.values()];

  return {
    name,
    api,
    isBlind: false,
    get placements() {
      return all();
    },
    place(id) {
      if (removed.has(id)) throw new AppError("unknown-placement", `cannot place ${id}: it was removed`);
      const there = placements.get(id) ?? make(id);
      if (!placements.has(id)) {
        placements.set(id, there);
        there.machine.start();
      }
      return there;
    },
    find: (id) => placements.get(id) ?? null,
    witness(id) {
      const { runs, agent } = placements.get(id) ?? { runs: [], agent: null };
      const isUnknown = this.isBlind || !placements.has(id) || scheduler.nowMs() < poweredAtMs;
      const truth = runs.some(({ isAlive }) => isAlive) ? "running" : "terminated";
      return {
        state: isUnknown ? "unknown" : truth,
        agentAlive: agent !== null,
        processes: [],
        detail: null,
        observedAt: moment,
      };
    },
    remove(id) {
      const there = placements.get(id);
      if (there === undefined) return;
      if (this.witness(id).state !== "terminated")
        throw new AppError("wrong-state", `cannot remove placement ${id}: its application lives, or may`);
      there.machine.crash(null);
      placements.delete(id);
      removed.add(id);
    },
    freeze(kind, forMs) {
      for (const { machine, machines } of all())
        for (const one of [machine, ...machines]) one.freeze(kind, forMs);
    },
    jumpClocks(byMs) {
      for (const { machine } of all()) machine.jumpWallClock(byMs);
    },
    crash(kind, restartAfterMs) {
      if (kind === "power") poweredAtMs = scheduler.nowMs() + restartAfterMs;
      for (const inside of all()) {
        if (kind !== "agents") for (const one of inside.runs) one.kill();
        if (kind === "power") inside.disk.powerCut();
        inside.agent = null;
        inside.machine.crash(restartAfterMs);
      }
    },
    killApplications() {
      for (const { runs } of all()) for (const one of runs) one.kill();
    },
  };
}
