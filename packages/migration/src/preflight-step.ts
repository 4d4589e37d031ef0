import { AppError, toAppError } from "@baton/protocol";
import { type PreflightFacts, checkPreflight } from "./preflight-rules.ts";
import type { DeployInput, MigratePorts } from "./ports.ts";
import type { StepContext } from "./saga.ts";

/** Gathers the facts and judges them; what cannot be seen is a finding, never fine. Touches nothing but scratch keys of the probe. */
export async function preflight({
  input,
  ports,
  signal,
}: StepContext<DeployInput, MigratePorts, unknown>): Promise<null> {
  const trouble: string[] = [];
  const see = async <T>(what: Promise<T>): Promise<T | null> => {
    try {
      return await what;
    } catch (error) {
      trouble.push(toAppError(error).message);
      return null;
    }
  };
  const [status, view, probe, target] = await Promise.all([
    see(ports.source.status(signal)),
    see(ports.lease.read(signal)),
    see(ports.lease.probe(signal)),
    see(ports.target.checkCluster(signal).then(() => true)),
  ]);
  const facts: PreflightFacts = {
    application: input.application,
    owner: ports.lease.owner,
    source: ports.source.placement,
    sourceCluster: ports.source.cluster,
    targetCluster: ports.target.cluster,
    status,
    lease: view?.lease ?? null,
    probe,
    ifMatch: ports.lease.ifMatch,
    targetReachable: target === true,
    trouble,
  };
  const findings = checkPreflight(facts);
  if (findings.length > 0)
    throw new AppError(
      "preflight-failed",
      `cannot migrate ${input.application}: ${findings.map(({ detail, fix }) => `${detail} (${fix})`).join("; ")}`,
      { meta: { findings } },
    );
  return null;
}
