import type { OperationRequest } from "@baton/protocol";
import { countFindings } from "../view/finding-lines.ts";
import { renderPlan } from "../view/plan-lines.ts";
import { colored, plain } from "../view/text.ts";
import { type CommandContext, type GlobalOptions, openSession } from "./session.ts";

/** Begins nothing. @returns the exit status: 1 where something blocks the operation. */
export async function planOperation(
  context: CommandContext,
  request: OperationRequest,
  options: GlobalOptions,
): Promise<number> {
  const { client, print, json } = await openSession(context, options);
  const plan = await client.plan(request, context.signal);
  const { stdout } = context;
  print(plan, () =>
    renderPlan(plan, {
      // In a pipe nothing is cut or broken.
      width: stdout.isTTY === true ? (stdout.columns ?? 80) : Number.MAX_SAFE_INTEGER,
      paint: stdout.hasColors?.() === true ? colored : plain,
    }),
  );
  const blocking = plan.findings.filter(({ severity }) => severity === "blocking");
  if (blocking.length === 0) return 0;
  if (!json)
    context.stderr.write(
      `baton: cannot ${plan.kind} ${plan.application}: ${countFindings(blocking)}; nothing was begun\n`,
    );
  return 1;
}
