import type { Operation, OperationRequest } from "@baton/protocol";
import { Interruption } from "../interruption.ts";
import { renderLedger } from "../view/downtime-ledger.ts";
import { renderDecisions } from "../view/decision-lines.ts";
import { renderFindings } from "../view/finding-lines.ts";
import { renderFence } from "../view/fence-lines.ts";
import { placeOf, renderOperation, titleOf } from "../view/operation-lines.ts";
import { createOperationView } from "../view/operation-view.ts";
import { oneLine } from "../view/text.ts";
import { type CommandContext, type GlobalOptions, type Session, openSession } from "./session.ts";

export interface WatchOptions extends GlobalOptions {
  readonly watch?: boolean;
}

/** @returns the exit status: with `watch` 0 only for an operation that was committed. */
export async function startOperation(
  context: CommandContext,
  request: OperationRequest,
  options: WatchOptions,
): Promise<number> {
  const session = await openSession(context, options);
  const operation = await session.client.startOperation(request, context.signal);
  if (options.watch === true) return watch(session, operation.id);
  session.print(operation, () => [
    `${operation.id} started; follow it with \`${watchCommand(operation.id)}\``,
  ]);
  return 0;
}

/** @returns the exit status, as {@link startOperation} does. */
export async function showOperation(
  context: CommandContext,
  id: string,
  options: WatchOptions,
): Promise<number> {
  const session = await openSession(context, options);
  if (options.watch === true) return watch(session, id);
  const operation = await session.client.operation(id, context.signal);
  session.print(operation, () => [
    // A record at rest is not cut to the terminal: it may be read from a pipe.
    ...renderOperation(operation, { width: Number.MAX_SAFE_INTEGER, now: Date.now() }),
    ...(operation.startedBy === null ? [] : [`  started by ${oneLine(operation.startedBy)}`]),
    ...renderFindings(operation.findings ?? [], { width: Number.MAX_SAFE_INTEGER }),
    ...renderLedger(operation),
    ...renderFence(operation),
    ...renderDecisions(operation),
  ]);
  return 0;
}

export async function listOperations(
  context: CommandContext,
  options: GlobalOptions & { readonly application?: string },
): Promise<void> {
  const session = await openSession(context, options);
  for (const operation of await session.client.operations(options.application, context.signal))
    session.print(operation, () => [
      `${operation.id}  ${operation.createdAt}  ${operation.state.padEnd(11)}  ${titleOf(operation)}`,
    ]);
}

async function watch({ client, context, json, interactive, print }: Session, id: string): Promise<number> {
  const view = json ? null : createOperationView({ stream: context.stdout, interactive });
  let last: Operation | undefined;
  try {
    for await (const operation of client.watchOperation(id, context.signal)) {
      last = operation;
      view?.update(operation);
      if (json) print(operation, () => []);
    }
  } catch (error) {
    if (!(error instanceof Interruption)) throw error;
    view?.end();
    context.stderr.write(`baton: stopped watching; the operation goes on: \`${watchCommand(id)}\`\n`);
    return error.status;
  } finally {
    view?.end();
  }
  if (last?.state === "committed") {
    const committed = last;
    if (!json && committed.kind !== "deploy" && committed.kind !== "start")
      print(committed, () => [
        ...(committed.kind === "migrate" ? renderLedger(committed) : []),
        ...renderFence(committed),
      ]);
    return 0;
  }
  // The record on stdout says it already where it is read by a program.
  if (!json && last !== undefined) context.stderr.write(`baton: ${verdictOf(last)}\n`);
  return 1;
}

function verdictOf(operation: Operation): string {
  const { id, kind, application, to, state, reason } = operation;
  const where = kind === "deploy" || kind === "migrate" ? `to ${to}` : placeOf(operation);
  const what = `the ${kind} of ${application} ${where}`;
  const why = oneLine(reason ?? "no reason was recorded");
  return state === "halted"
    ? `${what} is halted: ${why}; see what can be done: \`baton operation explain ${id}\``
    : `${what} was rolled back: ${why}`;
}

const watchCommand = (id: string): string => `baton operation show ${id} --watch`;
