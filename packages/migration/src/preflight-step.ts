import { AppError, type Finding } from "@baton/protocol";
import { hashOf, planParts } from "./plan/plan-parts.ts";
import type { DeployInput, DeployPorts, SourcePorts } from "./ports.ts";
import { checkPreflight } from "./preflight/check-preflight.ts";
import type { StepContext } from "./saga.ts";

type AnyPorts = Pick<DeployPorts | SourcePorts, "preflight" | "clock">;
type Ctx = StepContext<DeployInput, AnyPorts, unknown>;

/** The same look and the same rules as a plan's. Nothing is touched but scratch keys of the probe. */
export async function preflight({ input, ports, signal }: Ctx): Promise<null> {
  const facts = await ports.preflight.look(signal);
  const { kind, plan } = facts.request;
  const findings = checkPreflight(facts);
  await ports.preflight.keep(findings);
  const blocking = findings.filter(({ severity }) => severity === "blocking");
  if (blocking.length > 0)
    throw new AppError("preflight-failed", `cannot ${kind} ${input.application}: ${inWords(blocking)}`, {
      meta: { findings: blocking },
    });
  // It was compared before it began; something may have changed since.
  if (plan !== null && hashOf(planParts(facts, findings)) !== plan)
    throw new AppError(
      "plan-stale",
      `cannot ${kind} ${input.application}: something changed just now that the plan did not know; plan again`,
    );
  return null;
}

/** Beside it waits for what an earlier run sent and may still arrive. */
export async function preflightAndSettle(ctx: Ctx): Promise<null> {
  const { input, ports, signal } = ctx;
  await Promise.all([
    preflight(ctx),
    input.knownEpoch === 0 ? null : ports.clock.wait(input.settleMs, signal),
  ]);
  return null;
}

const inWords = (findings: readonly Finding[]): string =>
  findings.map(({ detail, fix }) => `${detail} (${fix})`).join("; ");
