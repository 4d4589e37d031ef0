import { AppError, toAppError } from "@baton/protocol";
import {
  type Finding,
  type PlacementFacts,
  type StorageFacts,
  checkGone,
  checkMove,
  checkStart,
  checkStop,
} from "./preflight-rules.ts";
import type {
  DeployInput,
  DeployPorts,
  LeasePort,
  MigratePorts,
  PlacementPort,
  SourcePorts,
} from "./ports.ts";
import type { StepContext } from "./saga.ts";

type Ctx<Ports> = StepContext<DeployInput, Ports, unknown>;

/*
 * Each gathers its facts and judges them; what cannot be seen is a finding, never fine. Nothing is touched but scratch keys of the probe.
 */

export async function preflightMove({ input, ports, signal }: Ctx<MigratePorts>): Promise<null> {
  const { source, target, lease } = ports;
  const sight = openSight();
  const [placement, storage, isReachable] = await Promise.all([
    seePlacement(sight, { application: input.application, placement: source, lease, signal }),
    seeStorage(sight, lease, signal),
    sight.see(target.checkCluster(signal).then(() => true)),
  ]);
  const targetFacts = { targetCluster: target.cluster, targetReachable: isReachable === true };
  return assertNothing(checkMove({ ...placement, ...storage, ...targetFacts }), "migrate", input);
}

export const preflightStop = (ctx: Ctx<SourcePorts>): Promise<null> => preflightServing(ctx, "stop");
export const preflightDelete = (ctx: Ctx<SourcePorts>): Promise<null> => preflightServing(ctx, "delete");

async function preflightServing({ input, ports, signal }: Ctx<SourcePorts>, verb: string): Promise<null> {
  const { source, lease } = ports;
  const sight = openSight();
  const [placement, storage] = await Promise.all([
    seePlacement(sight, { application: input.application, placement: source, lease, signal }),
    seeStorage(sight, lease, signal),
  ]);
  return assertNothing(checkStop({ ...placement, ...storage }), verb, input);
}

export async function preflightStart({ input, ports, signal }: Ctx<DeployPorts>): Promise<null> {
  const { target, lease } = ports;
  const sight = openSight();
  const [placement, storage, witness] = await Promise.all([
    seePlacement(sight, { application: input.application, placement: target, lease, signal }),
    seeStorage(sight, lease, signal),
    sight.see(target.witness(signal)),
    // What its last run sent may still arrive.
    ports.clock.wait(input.settleMs, signal),
  ]);
  const facts = { ...placement, ...storage, witness: witness?.state ?? null };
  return assertNothing(checkStart(facts), "start", input);
}

export async function preflightDeleteStopped({ input, ports, signal }: Ctx<SourcePorts>): Promise<null> {
  const { source, lease } = ports;
  const sight = openSight();
  const [placement, witness] = await Promise.all([
    seePlacement(sight, { application: input.application, placement: source, lease, signal }),
    sight.see(source.witness(signal)),
  ]);
  return assertNothing(checkGone({ ...placement, witness: witness?.state ?? null }), "delete", input);
}

/** Remembers why something could not be seen. */
function openSight() {
  const trouble: string[] = [];
  return {
    trouble,
    see: async <T>(what: Promise<T>): Promise<T | null> => {
      try {
        return await what;
      } catch (error) {
        trouble.push(toAppError(error).message);
        return null;
      }
    },
  };
}
type Sight = ReturnType<typeof openSight>;

async function seePlacement(
  { trouble, see }: Sight,
  params: {
    readonly application: string;
    readonly placement: PlacementPort;
    readonly lease: LeasePort;
    readonly signal: AbortSignal;
  },
): Promise<PlacementFacts> {
  const { application, placement, lease, signal } = params;
  const [status, view] = await Promise.all([see(placement.status(signal)), see(lease.read(signal))]);
  return {
    application,
    owner: lease.owner,
    source: placement.placement,
    sourceCluster: placement.cluster,
    status,
    lease: view?.lease ?? null,
    trouble,
  };
}

async function seeStorage(
  { trouble, see }: Sight,
  lease: LeasePort,
  signal: AbortSignal,
): Promise<StorageFacts> {
  return { probe: await see(lease.probe(signal)), ifMatch: lease.ifMatch, trouble };
}

function assertNothing(findings: readonly Finding[], verb: string, { application }: DeployInput): null {
  if (findings.length > 0)
    throw new AppError(
      "preflight-failed",
      `cannot ${verb} ${application}: ${findings.map(({ detail, fix }) => `${detail} (${fix})`).join("; ")}`,
      { meta: { findings } },
    );
  return null;
}
