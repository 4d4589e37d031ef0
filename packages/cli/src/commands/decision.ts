import type { DecisionRequest } from "@baton/protocol";
import { explanationLines } from "../view/explanation-lines.ts";
import { type WatchOptions, showOperation } from "./operation.ts";
import { type CommandContext, type GlobalOptions, openSession } from "./session.ts";

/** @returns the exit status: with `watch` 0 only for an operation that was committed. */
export async function decide(
  context: CommandContext,
  id: string,
  request: DecisionRequest,
  options: WatchOptions,
): Promise<number> {
  const { client, print } = await openSession(context, options);
  const operation = await client.decide(id, request, context.signal);
  if (options.watch === true) return showOperation(context, id, options);
  const by = operation.decisions.at(-1)?.by ?? "nobody";
  print(operation, () => [
    `${request.kind} of ${id} is on record, by ${by}; see \`baton operation show ${id}\``,
  ]);
  return 0;
}

/** What the operation waits for, since when, until when, what follows and what can be done. */
export async function explainOperation(
  context: CommandContext,
  id: string,
  options: GlobalOptions,
): Promise<void> {
  const { client, print } = await openSession(context, options);
  const explanation = await client.explain(id, context.signal);
  print(explanation, () => explanationLines(explanation, Date.now()));
}
