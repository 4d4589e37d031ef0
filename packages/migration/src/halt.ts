import { type Decision, accepts, decisionSchema } from "@baton/protocol";
import type { RecordedError } from "./engine.port.ts";
import type { Direction } from "./progress.port.ts";
import { type Run, record } from "./run-step.ts";

/** The topic on which the decision about the n-th halt of an operation arrives: one that came twice decides nothing later. */
export const decisionTopic = (halt: number): string => `decision:${halt}`;

/**
 * Parks the operation until a person decides. An abort takes back what went forward; elsewhere it is no decision.
 *
 * @param from where the operation was going. @param turns whether an override, once it counts, turns the operation forward again.
 * @returns null when nobody decided in this life of the engine.
 */
export async function halt(
  run: Run,
  reason: RecordedError,
  from: Direction,
  turns: () => boolean = () => false,
): Promise<Decision | null> {
  run.halts += 1;
  const number = run.halts;
  await record(run, `halt#${number}`, () => run.progress.halt({ number, reason }));
  const message = await run.engine.receive(`halt#${number}.decision`, decisionTopic(number), Infinity);
  if (message === null) return null;
  if (!accepts(decisionSchema, message))
    throw new Error(`cannot go on from halt ${number}: its decision is not one`);
  const decision = message as Decision;
  if (decision.kind === "override") run.override = decision;
  const direction = decision.kind === "override" && turns() ? "forward" : from;
  await record(run, `halt#${number}.decided`, () => run.progress.goOn(direction));
  return decision;
}
