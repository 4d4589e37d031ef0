import { setTimeout as delay } from "node:timers/promises";
import type { BatonClient } from "@baton/cli/client";
import type { Operation, OperationRequest } from "@baton/protocol";

const operationMs = 180_000;
const outageMs = 60_000;

/** Starts an operation and follows it to its end, over every death of the orchestrator. @throws when it is refused or takes over three minutes. */
export async function runOperation(
  client: BatonClient,
  request: OperationRequest,
  seen: (operation: Operation) => void = () => undefined,
): Promise<Operation> {
  let last = await startOperation(client, request);
  for await (const operation of client.watchOperation(last.id, AbortSignal.timeout(operationMs))) {
    last = operation;
    seen(operation);
  }
  return last;
}

/** An orchestrator that is killed between taking an operation and answering leaves open whether it took it: then its list says so. */
async function startOperation(client: BatonClient, request: OperationRequest): Promise<Operation> {
  const before = new Set((await client.operations(request.application)).map(({ id }) => id));
  try {
    return await client.startOperation(request);
  } catch (error) {
    const now = await operationsOnceItAnswers(client, request.application);
    const taken = now.find(({ id, kind }) => !before.has(id) && kind === request.kind);
    if (taken === undefined) throw error;
    return taken;
  }
}

async function operationsOnceItAnswers(
  client: BatonClient,
  application: string,
): Promise<readonly Operation[]> {
  for (const deadline = performance.now() + outageMs; ; await delay(100)) {
    try {
      return await client.operations(application);
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
  }
}
