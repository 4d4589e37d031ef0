import { isAppError } from "@baton/protocol";
import { create, operation, owner } from "../fixtures/lease-samples.ts";
import { type WriteStamp, isInEffect } from "../lease.ts";
import { type LeaseObservation, observeLease } from "../lease-observation.ts";
import { type LeaseView, type LeaseWrite, planLeaseChange, readLease } from "../lease-write.ts";
import type { ObjectStore } from "../object-store.port.ts";
import type { Answer, Command } from "./agent.ts";
import type { Behaviour } from "./behaviour.ts";
import type { Database, OperationRecord, Stage, Tenure } from "./database.ts";
import type { Machine } from "./machine.ts";
import type { Oracle } from "./oracle.ts";
import type { Random } from "./random.ts";
import type { Sights } from "./sights.ts";

const { prefix } = create;
const readMs = 2_000;
const deadlineMs = 5_000;
const silentAfterMs = 9_000;
const takeoverAfterMs = 20_000;
const oldMs = 15_000;

export interface OrchestratorDeps {
  readonly machine: Machine;
  readonly database: Database;
  readonly store: ObjectStore;
  readonly stamp: () => WriteStamp;
  readonly random: Random;
  readonly oracle: Oracle;
  readonly sights: Sights;
  readonly behaviour: Behaviour;
  readonly placements: readonly string[];
  /** Null: no answer. */
  readonly command: (placement: string, command: Command) => Promise<Answer | null>;
  readonly newGrant: () => string;
}

/** One life of an orchestrator: moves the application to and fro for ever, one recorded stage after the other. */
export function startOrchestrator(deps: OrchestratorDeps): void {
  run(deps).catch((error: unknown) => deps.oracle.died(deps.machine.name, error));
}

async function run(deps: OrchestratorDeps): Promise<void> {
  const { machine, database, random, sights } = deps;
  for (;;) {
    const { record } = database;
    if (record.worker !== machine.name) {
      // Whoever works on it may be dead, or only paused: it goes on then with what it had in mind.
      await machine.clock.sleep(takeoverAfterMs);
      if (database.save(record, { worker: machine.name, stage: record.stage }))
        sights.see("takeover by another orchestrator");
      continue;
    }
    await machine.clock.sleep(random.between(10, 300));
    try {
      const stage = await nextStage(deps, record);
      if (stage !== null) database.save(record, { worker: machine.name, stage });
    } catch (error) {
      if (!isAppError(error)) throw error;
      // Not known, or not ours: again from where we stand, with the same write; what cannot be planned is looked at anew.
      if (error.code === "storage-unclear" && "write" in record.stage) sights.see("write left unclear");
      if (error.code === "lease-mismatch")
        database.save(record, { worker: machine.name, stage: { kind: "look" } });
    }
  }
}

/** Does what the stage asks for. Null: the same stage again. */
async function nextStage(deps: OrchestratorDeps, record: OperationRecord): Promise<Stage | null> {
  const { machine, random, stamp, behaviour, oracle } = deps;
  const { stage } = record;
  switch (stage.kind) {
    case "look":
      return look(deps);
    case "watch":
      return watch(deps, stage.from);
    case "fence": {
      const current = await read(deps);
      const change = { kind: "fence", owner, from: stage.from, operation } as const;
      oracle.asks(change);
      if (isInEffect(current?.lease ?? null, change)) return { kind: "refuse credentials", from: stage.from };
      return {
        kind: "write fence",
        from: stage.from,
        write: planLeaseChange({ current, change, ...stamp() }),
      };
    }
    case "write fence": {
      const { kind } = await apply(deps, stage.write);
      if (kind !== "applied") return { kind: "look" };
      const isEnough = behaviour.evidence === "fence of the lease";
      return { kind: isEnough ? "plan grant" : "refuse credentials", from: stage.from };
    }
    case "refuse credentials":
      // Writes are tried with the old key until every endpoint has refused them often enough.
      await machine.clock.sleep(random.between(100, 3_000));
      oracle.revoked(stage.from.holder, stage.from.epoch);
      await machine.clock.sleep(random.between(0, 50));
      return { kind: "plan grant", from: stage.from };
    case "plan grant":
      return { kind: "write grant", write: planGrant(deps, await read(deps), stage.from) };
    case "write grant": {
      const { kind } = await apply(deps, stage.write);
      return kind === "applied" ? { kind: "start", lease: stage.write.lease } : { kind: "look" };
    }
    case "start": {
      const { holder, epoch, grant } = stage.lease;
      if (grant !== null) await deps.command(holder, { kind: "start", epoch, grant });
      await machine.clock.sleep(random.between(200, 4_000));
      return { kind: "look" };
    }
  }
}

/** How whoever has the lease can come to an end. */
async function look(deps: OrchestratorDeps): Promise<Stage | null> {
  const { machine, behaviour, stamp, random, placements, newGrant } = deps;
  const view = await read(deps);
  if (view === null) {
    const change = { ...create, holder: random.pick(placements), grant: newGrant() };
    return { kind: "write grant", write: planLeaseChange({ current: null, change, ...stamp() }) };
  }
  const { holder, epoch, run: lastRun, state, grant } = view.lease;
  if (view.lease.owner !== owner) return null;
  const from = { holder, epoch, run: lastRun };
  // As if what was never used could not be used any more: it is for the lease to refuse that.
  if (state === "granted" && random.chance(0.2)) return { kind: "plan grant", from };
  if (state === "stopped") return { kind: "plan grant", from };
  if (state === "fenced")
    return { kind: behaviour.evidence === "fence of the lease" ? "plan grant" : "refuse credentials", from };
  if (
    behaviour.evidence === "age of the lease" &&
    lastRun !== null &&
    machine.wallMs() - Date.parse(view.lease.at) > oldMs
  )
    return { kind: "plan grant", from };
  const answer = await deps.command(
    holder,
    grant !== null
      ? { kind: "burn", epoch, grant }
      : { kind: "stop", run: lastRun as NonNullable<typeof lastRun> },
  );
  if (answer?.kind === "ended") return { kind: "plan grant", from: answer.ended };
  return { kind: "watch", from };
}

/** Looks for a while whether the holder writes; that he does not is told, and decides nothing but to go on to a fence. */
async function watch(deps: OrchestratorDeps, from: Tenure): Promise<Stage> {
  const { machine, random, sights, behaviour } = deps;
  const { clock } = machine;
  let seen: LeaseObservation | null = null;
  for (let looks = 0; looks < 6; looks += 1) {
    const askedAtMs = clock.nowMs();
    const view = await read(deps);
    if (view?.lease.epoch !== from.epoch) return { kind: "look" };
    seen = observeLease(seen, { etag: view.etag, askedAtMs, answeredAtMs: clock.nowMs() });
    if (seen.unchangedForMs >= silentAfterMs) {
      sights.see("silence observed");
      return { kind: behaviour.evidence === "silence" && from.run !== null ? "plan grant" : "fence", from };
    }
    await clock.sleep(random.between(1_000, 4_000));
  }
  return random.chance(0.5) ? { kind: "look" } : { kind: "fence", from };
}

function planGrant(deps: OrchestratorDeps, current: LeaseView | null, from: Tenure): LeaseWrite {
  const { random, placements, newGrant, oracle, stamp } = deps;
  const holder = random.pick(placements);
  const change = { kind: "grant", owner, from, holder, grant: newGrant(), operation } as const;
  oracle.asks(change);
  return planLeaseChange({ current, change, ...stamp() });
}

const read = ({ machine, store, oracle }: OrchestratorDeps): Promise<LeaseView | null> =>
  oracle.watch(machine, readMs, readLease({ store, prefix, timeoutMs: readMs }));

async function apply(deps: OrchestratorDeps, write: LeaseWrite) {
  const { machine, store, stamp, oracle, sights, behaviour } = deps;
  oracle.sends(machine, write);
  const call = behaviour.apply({ store, write, deadlineMs, clock: machine.clock, stamp });
  const result = await oracle.watch(machine, deadlineMs, call);
  if (result.kind === "superseded")
    sights.see(result.wasTaken === null ? "write forgotten" : "write superseded");
  oracle.said(result.kind === "applied" ? (result.write ?? write) : write, result);
  return result;
}
