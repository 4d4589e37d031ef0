import {
  type Ending,
  type Facts,
  type OperationRecord,
  type RunFacts,
  admitBurn,
  admitOpen,
  admitStart,
  admitStop,
  admitWithdraw,
  changeOperation,
  changeRun,
  createLeaseHolder,
  createStateMachine,
  isStopped,
  judgeEnding,
  mayFollow,
  neverExecuted,
  refuseStaleTerm,
  withOperation,
} from "@baton/agent/testing";
import { type AgentOperation, type AgentStatus, AppError, isAppError } from "@baton/protocol";
import { putReceipt } from "@baton/storage";
import {
  type Agent,
  type AgentDeps,
  type Order,
  bootId,
  endedByItself,
  failOpenStarts,
  look,
  ownOperation,
  recall,
  receiptOf,
  showOperation,
  slot,
} from "./agent-records.ts";
import { createStarter } from "./agent-start.ts";
import type { Application } from "./application.ts";
import { moment, owner, prefix } from "./names.ts";

const graceMs = 5_000;
const longestMs = graceMs + 10_000;
const untold = { exit: null, signals: [], phases: [] };

/**
 * One life of an agent. Its decisions are the agent's own code: its states, what it admits, how it judges an ending, and its lease. What stands
 * between them is made anew, without processes, files and sockets: `supervisor.ts` (orders, `endRun`, burning), `run-keeper.ts` (stop, own end),
 * `start-run.ts` (execution, readiness), `recover.ts` (a new life), `finish-operation.ts` and `confirm.ts` (receipts), `journal.ts`.
 */
export function startAgent(deps: AgentDeps): Agent {
  const { machine, placement, disk, random, oracle, sights, log, find } = deps;
  const { clock } = machine;
  const lease = createLeaseHolder({
    placement,
    storage: { prefix, owner, renewMs: 5_000, lostAfterMs: 60_000 } as Parameters<
      typeof createLeaseHolder
    >[0]["storage"],
    store: deps.store,
    log: (_level, message) => log(message),
    clock: { ...clock, after: (ms, act) => machine.timer(ms, "renews", act) },
  });
  const instance = `life${machine.life}`;
  const nonces = new Set<string>();
  const changed = new Map<string, (() => void)[]>();
  let stopping: Promise<Ending> | null = null;
  let isLeaving = false;

  const facts = (): Facts => disk.content.facts;
  const inBackground = (work: Promise<unknown>): void =>
    void work.catch((error: unknown) => oracle.broken(`${machine.name} ended: ${String(error)}`));
  const diskMoment = (): Promise<void> => clock.sleep(random.between(0, 15));

  // journal.ts: one change after the other, on the disk before it is acknowledged.
  let lastUpdate: Promise<unknown> = Promise.resolve();
  const update = (change: (facts: Facts) => Facts, then?: () => void): Promise<void> => {
    const made = lastUpdate.then(async () => {
      const next = change(facts());
      if (next !== facts()) {
        await diskMoment();
        disk.write({ ...disk.content, facts: next });
        await diskMoment();
      }
      then?.();
    });
    lastUpdate = made.catch(() => undefined);
    return made;
  };
  const tell = (key: string): void => {
    for (const wake of changed.get(key) ?? []) wake();
    changed.delete(key);
  };
  const living = (): Application | null => {
    const { run } = facts();
    return run === null || run.end !== null ? null : find(run.run);
  };

  // finish-operation.ts
  const finish = async (record: OperationRecord, ending: Ending): Promise<void> => {
    const { key } = record;
    if (disk.content.receipts[key] === undefined) {
      await diskMoment();
      const receipt = receiptOf(placement, record, ending);
      disk.write({ ...disk.content, receipts: { ...disk.content.receipts, [key]: receipt } });
      oracle.confirmed(receipt);
    }
    await copy(key);
    await update((all) => changeOperation(all, key, { progress: { state: "receipt" } }));
    tell(key);
    inBackground(confirm(record));
  };
  const copy = async (key: string): Promise<void> => {
    const jws = JSON.stringify(disk.content.receipts[key]);
    await putReceipt({ store: deps.store, prefix, key, jws, timeoutMs: 2_000, clock }).catch(ignore);
  };
  const confirm = async ({ key, confirmation }: OperationRecord): Promise<void> => {
    const receipt = disk.content.receipts[key];
    if (confirmation !== "pending" || receipt === undefined) return;
    for (let pauseMs = 100; !(await deps.confirm(receipt)); pauseMs = Math.min(5_000, pauseMs * 2))
      await clock.sleep(pauseMs);
    await update((all) => changeOperation(all, key, { confirmation: "confirmed" }));
  };

  // run-keeper.ts
  const conclude = async (run: RunFacts, end: Ending, by: "stop" | "itself"): Promise<Ending> => {
    lease.stopRenewing();
    const goesOn = by === "itself" && mayFollow(run, slot);
    await Promise.all([
      update((all) => changeRun(all, { end, endedBy: by, ...(by === "stop" && { open: false }) })),
      goesOn || lease.end({ ...run, end, endedBy: by }, 2_000),
    ]);
    state.end(by === "itself" ? "died" : "gone", end.evidence);
    return end;
  };
  const end = async (
    run: RunFacts,
    deadlineMs: number,
    mayKill: boolean,
    wasReady: boolean,
  ): Promise<Ending> => {
    const target = find(run.run);
    const exitedBefore = target === null || target.exit !== null;
    if (wasReady) {
      await clock.sleep(random.between(5, 50));
      if (state.state === "draining") state.send("drained");
      if (state.state === "quiescing") state.send("quiesced");
    }
    target?.terminate();
    const endAt = clock.nowMs() + Math.min(graceMs, deadlineMs);
    while (target !== null && target.exit === null && clock.nowMs() < endAt) await clock.sleep(50);
    const isKilled = mayKill && target !== null && target.exit === null;
    if (isKilled) target.kill();
    const seen = look(target === null ? { code: null, signal: null } : target.exit, isKilled);
    const ending: Ending = {
      ...judgeEnding({ ...seen, exitedBefore }),
      ...untold,
      exit: seen.exit,
      evidence: {
        treeGone: seen.treeGone,
        remaining: seen.treeGone ? [] : ["process 1"],
        checks: [],
        bootId,
      },
      timings: { signalledAt: null, exitedAt: null, verifiedAt: null, stopMs: null },
    };
    if (isStopped(ending.evidence)) return conclude(run, ending, "stop");
    const refused = deps.onRefused === "serve" ? "refusedServing" : "refusedHeld";
    state.send(ending.outcome === "refused" && state.can(refused) ? refused : "unproven");
    return ending;
  };
  const stop = (run: RunFacts, deadlineMs: number, mayKill = false): Promise<Ending> => {
    if (stopping !== null) return stopping;
    const wasReady = state.state === "running" || state.state === "refused";
    state.send("stop");
    starter.abort();
    stopping = end(run, deadlineMs, mayKill, wasReady).finally(() => {
      stopping = null;
    });
    return stopping;
  };
  const exited = async (): Promise<void> => {
    const { run } = facts();
    if (run === null || run.end !== null || state.state === "starting") return;
    if (state.can("exit")) state.send("exit");
    if (stopping !== null || (state.state !== "verifying" && state.state !== "unknown")) return;
    const ending = endedByItself(find(run.run)?.exit ?? null);
    // A stop that comes meanwhile joins it.
    stopping = conclude(run, ending, "itself").finally(() => {
      stopping = null;
    });
    await stopping;
    await endedByItselfIsTold(run, ending);
  };
  const endedByItselfIsTold = async (run: RunFacts, ending: Ending): Promise<void> => {
    const record = ownOperation("own-exit", run);
    await update((all) => withOperation(all, record));
    await finish(record, ending);
    isLeaving = true;
    deps.leave();
  };

  const starter = createStarter({
    ...deps,
    lease,
    state: () => state,
    update,
    tell,
    stop: (run) => stop(run, longestMs),
    exited: () => inBackground(exited()),
    inBackground,
  });

  // supervisor.ts
  const endRun = async (record: OperationRecord): Promise<void> => {
    if (living() === null && facts().run?.end === null) {
      await starter.giveWay();
    }
    const { run } = facts();
    if (run === null) throw new Error("a stop of nothing was admitted");
    let ending = run.end;
    if (ending === null) ending = await stop(run, record.deadlineMs, record.kill);
    else {
      if (record.late && run.endedBy !== "stop") await lease.end(run, 2_000);
      const hasRun = run.endedBy !== "never-executed";
      if (!record.late && hasRun && ending.outcome === "already-stopped" && ending.exit === null)
        ending = { ...ending, outcome: "crashed-during-stop" };
    }
    await finish(record, ending);
  };
  const burn = async (record: OperationRecord): Promise<void> => {
    const { epoch, grant } = record;
    while (!(await lease.burn({ epoch, grant: grant ?? "", deadlineMs: 10_000 }))) await clock.sleep(1_000);
    sights.see("grant burned");
    await finish(record, { ...neverExecuted(bootId, moment), outcome: "never-started" });
  };
  const accept = async (
    key: string,
    admit: (all: Facts) => Facts,
    then: (record: OperationRecord) => void,
  ): Promise<AgentOperation> => {
    let isNew = false;
    await update(
      (all) => {
        const next = admit(all);
        isNew = next !== all;
        return next;
      },
      () => {
        const record = facts().operations[key];
        if (isNew && record !== undefined) then(record);
      },
    );
    return show(key);
  };
  const order = async ({ command, epoch, term, nonce }: Order): Promise<AgentOperation | AgentStatus> => {
    if (nonces.has(nonce) || Object.hasOwn(facts().nonces, nonce))
      throw new AppError("token-replayed", "cannot accept the command: its token was used before");
    nonces.add(nonce);
    const token = { epoch, term, nonce, expiresAt: Number.MAX_SAFE_INTEGER };
    refuseStaleTerm(facts(), { ...token, command });
    switch (command.kind) {
      case "stop":
        return accept(
          command.key,
          (all) => admitStop(all, { ...token, command }, moment),
          (record) => inBackground(endRun(record)),
        );
      case "start": {
        const { operation, grant } = command;
        const planned = starter.plan({ epoch, operation, grant, open: false });
        return accept(
          command.key,
          (all) => {
            if (isLeaving) throw new AppError("wrong-state", "cannot start: the agent is ending");
            return admitStart(all, state.state, { ...token, command }, planned, moment);
          },
          (record) => starter.begin(starter.launch(record, planned, null)),
        );
      }
      case "burn":
        return accept(
          command.key,
          (all) => admitBurn(all, state.state, { ...token, command }, moment),
          (record) => inBackground(burn(record)),
        );
      case "withdraw":
        await update((all) => admitWithdraw(all, { ...token, command }));
        sights.see("stop withdrawn");
        return status();
      case "open":
        await update((all) => admitOpen(all, state.state, { ...token, command }));
        if (state.state === "refused") state.send("open");
        find(command.run)?.open();
        return status();
      case "read":
        return status();
      default:
        throw new AppError("internal", `cannot take ${command.kind}: it is not simulated`);
    }
  };
  const show = (key: string): AgentOperation => showOperation(disk.content, key);
  const status = async (): Promise<AgentStatus> => {
    const { run, epoch } = facts();
    const isLiving = run !== null && run.end === null;
    return {
      placement,
      instance,
      agentVersion: "0",
      state: state.state,
      epoch,
      run: run?.run ?? null,
      ready: isLiving && run.readyAt !== null && find(run.run)?.exit === null,
      open: state.state === "running" && run?.open === true,
      lease: await lease.status(isLiving ? run.run : null),
      waiting: null,
    };
  };

  // recover.ts
  const { starting: intended, run: last } = facts();
  const lives = last !== null && last.end === null && find(last.run)?.exit === null;
  const { died, isTold, canFollow, ...recovered } = recall(facts(), lives);
  const state = createStateMachine(recovered.state);
  const resume = async (): Promise<void> => {
    let abandoned: RunFacts | null = null;
    if (intended !== null) {
      abandoned = { ...intended, end: neverExecuted(bootId, moment), endedBy: "never-executed" };
      const run = abandoned;
      await update((all) => failOpenStarts({ ...all, starting: null, run }));
    } else if (died) {
      const ending = endedByItself(null);
      await update((all) =>
        failOpenStarts(
          changeRun(all, {
            end: ending,
            endedBy: isTold ? "stop" : "itself",
            ...(isTold && { open: false }),
          }),
        ),
      );
      abandoned = canFollow ? null : facts().run;
    }
    if (abandoned !== null) inBackground(lease.end(abandoned, 10_000));
    if (lives) {
      sights.see("agent adopts its application");
      lease.startRenewing(last);
    }
    for (const record of Object.values(facts().operations)) {
      if (record.progress.state === "receipt") inBackground(confirm(record));
      if (record.progress.state !== "open") continue;
      if (record.kind === "stop") inBackground(endRun(record));
      else if (record.kind === "burn") inBackground(burn(record));
      else if (lives) {
        const running = find(last.run);
        if (running !== null)
          starter.begin(starter.bringUp(record, last, running, clock.nowMs() + record.deadlineMs));
      }
    }
    // It ended while its agent was not there.
    if (lives && find(last.run)?.exit !== null) await exited();
    // own-operation.ts: the next run of the same slot.
    if (!canFollow || last === null) return;
    const planned = starter.plan({ ...last, grant: null });
    const record: OperationRecord = { ...ownOperation("agent-start", planned), kind: "start", run: null };
    await update(
      (all) => withOperation({ ...all, starting: planned }, record),
      () => starter.begin(starter.launch(record, planned, last.run)),
    );
  };
  inBackground(resume());

  return {
    order,
    status,
    async operation(key, waitMs) {
      const seen = show(key);
      if (seen.state !== "open" || waitMs === 0) return seen;
      await new Promise<void>((resolve) => {
        const cancel = machine.timer(waitMs, "has waited", resolve);
        const wake = (): void => {
          cancel();
          resolve();
        };
        changed.set(key, [...(changed.get(key) ?? []), wake]);
      });
      return show(key);
    },
    exited: () => inBackground(exited()),
  };
}

const ignore = (error: unknown): void => {
  if (!isAppError(error)) throw error;
};
