import { AppError, type Run, type StartResult, commandKey, sameRun } from "@baton/protocol";
import type { LeaseWrite } from "@baton/storage";
import { type UndoCtx, endTarget, isAtRest } from "./end-target.ts";
import type { DeployInput, DeployPorts, PlacementPort } from "./ports.ts";
import type { StepContext } from "./saga.ts";
import { soakPauseMs, soakRounds } from "./stop-times.ts";

type Ctx<Done = unknown, Intent = undefined> = StepContext<DeployInput, DeployPorts, Done, Intent>;

/** What the target holds after the handover. */
export interface Granted {
  readonly epoch: number;
  readonly grant: string;
}

/** A grant and the one write that gives it, written down before it is sent (safety rule 7). */
export interface PlannedGrant extends Granted {
  readonly write: LeaseWrite;
}

export async function placeTarget({ ports, signal }: Ctx): Promise<null> {
  const status = await ports.target.place(signal);
  if (!status.lease.reachable)
    throw new AppError(
      "storage-unreachable",
      `cannot prepare the target: its agent on ${ports.target.cluster} cannot use the bucket: ${status.lease.detail ?? "no reason given"}`,
    );
  return null;
}

export async function removeTarget({ intents, ports, signal }: UndoCtx): Promise<void> {
  // Without a planned handover the lease cannot name the target, and an unreachable store need not halt the way back.
  const lease = intents["handOver"] === undefined ? undefined : (await ports.lease.read(signal))?.lease;
  if (lease?.holder === ports.target.placement && lease.state !== "stopped")
    throw new AppError(
      "lease-mismatch",
      `cannot remove the target ${ports.target.placement}: it holds the lease`,
    );
  const planned = intents["handOver"] as PlannedGrant | undefined;
  if (planned !== undefined)
    await ports.fence?.disable({ placement: ports.target.placement, epoch: planned.epoch }, signal);
  await ports.target.remove(signal);
  await ports.records.retire(ports.target.placement);
}

export async function handOver({
  input,
  ports,
  intent,
  signal,
}: Ctx<unknown, PlannedGrant>): Promise<Granted> {
  const { epoch, grant, write } = intent;
  const applied = await ports.lease.apply(write, signal);
  if (applied.kind === "superseded")
    throw new AppError(
      "lease-superseded",
      `cannot grant ${input.application} to the target: somebody else changed the lease`,
    );
  await ports.records.mark({ grantedAt: ports.clock.now().toISOString() });
  return { epoch, grant };
}

export async function startTarget(ctx: Ctx<{ handOver: Granted }>): Promise<StartResult> {
  const { operation, input, ports, done, signal } = ctx;
  const key = commandKey({ operation, step: "start", attempt: 1 });
  const [started] = await Promise.all([
    ports.target.start({ key, ...done.handOver, deadlineMs: input.readyTimeoutMs }, signal),
    ports.records.mark({ startSentAt: ports.clock.now().toISOString() }),
  ]);
  await ports.records.mark({ readyAt: started.readyAt, applicationStartMs: started.startMs });
  return started;
}

/** Without a planned handover the target has nothing to give up. */
export async function stopTarget(ctx: UndoCtx): Promise<void> {
  if (ctx.intents["handOver"] !== undefined) await endTarget(ctx);
}

export async function verifyTarget(ctx: Ctx<{ handOver: Granted; start: StartResult }>): Promise<null> {
  const { input, ports, done, signal } = ctx;
  const { verify } = input;
  const { epoch } = done.handOver;
  const { run } = done.start;
  const check = async (): Promise<void> => {
    if (verify === null) await assertRuns(ports.target, run, signal);
    else await ports.target.verify({ epoch, run, verify }, signal);
  };
  for (let round = 0; round < soakRounds(verify); round += 1) {
    await check();
    await ports.clock.wait(soakPauseMs, signal);
  }
  const [view] = await Promise.all([ports.lease.read(signal), check()]);
  if (verify?.method === "POST") await ports.records.mark({ firstWriteAt: ports.clock.now().toISOString() });
  const lease = view?.lease;
  if (
    lease?.holder !== ports.target.placement ||
    lease.epoch !== epoch ||
    // One that stopped or was fenced since keeps the run's name.
    lease.state !== "running" ||
    !sameRun(lease.run, run)
  )
    throw new AppError("lease-mismatch", "cannot commit: the lease does not name the target's run");
  return null;
}

/** The least of all checks: past the pivot nobody takes back a target that is gone. */
async function assertRuns(target: PlacementPort, run: Run, signal: AbortSignal): Promise<void> {
  const { state, run: current } = await target.status(signal);
  if (state !== "running" || !sameRun(current, run))
    throw new AppError(
      "wrong-state",
      `cannot commit: the agent of ${target.placement} is ${state} and does not run what was started`,
    );
}

/** The pivot. Opening the target to clients belongs to it: when it fails after the switch, it is done again. */
export async function commit(ctx: Ctx<{ handOver: Granted; start: StartResult }>): Promise<null> {
  const { ports, done } = ctx;
  await ports.records.commit(done.handOver.epoch);
  await ports.records.mark({ committedAt: ports.clock.now().toISOString() });
  await openTarget(ctx);
  return null;
}

/**
 * One that ended by itself since it was verified has crashed after the move. What followed in its slot is opened in its place; where nothing did, the next
 * start is another operation.
 */
async function openTarget({
  ports,
  done,
  signal,
}: Ctx<{ handOver: Granted; start: StartResult }>): Promise<void> {
  const { target } = ports;
  const { epoch } = done.handOver;
  const { run } = done.start;
  try {
    await target.open({ epoch, run }, signal);
  } catch (error) {
    const now = await target.status(signal);
    if (now.run === null || now.epoch !== epoch) throw error;
    if (now.state === "running" && !sameRun(now.run, run)) await target.open({ epoch, run: now.run }, signal);
    else if (!isAtRest(now)) throw error;
  }
}
