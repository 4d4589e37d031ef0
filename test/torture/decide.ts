import { setTimeout as delay } from "node:timers/promises";
import type { BatonClient } from "@baton/cli/client";
import type { Operation } from "@baton/protocol";

const resumes = 3;
const decisionsAtMost = 6;
const operationMs = 180_000;

/** Takes the way out that a halted operation offers: resume, then abort. @throws when it does not end by that */
export async function goOnUntilItEnds(client: BatonClient, operation: Operation): Promise<Operation> {
  let last = operation;
  for (let count = 0; last.state === "halted"; count += 1) {
    const { actions } = await client.explain(last.id);
    const offered = actions.map(({ command }) => command.split(" ")[2]);
    const kind = (["resume", "abort"] as const)
      .filter((wanted) => offered.includes(wanted))
      .at(count < resumes ? 0 : -1);
    if (kind === undefined || count === decisionsAtMost)
      throw new Error(`${last.id} does not end: ${String(last.reason)}; offered: ${offered.join(", ")}`);
    await delay(count * 500);
    await client.decide(last.id, { kind, reason: "the outage is over" });
    for await (last of client.watchOperation(last.id, AbortSignal.timeout(operationMs)));
  }
  if (last.state === "open") throw new Error(`${last.id} has no end`);
  return last;
}
