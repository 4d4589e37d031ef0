import type { AuditPage } from "../client.ts";
import { renderAudit } from "../view/access-lines.ts";
import { colored, plain } from "../view/text.ts";
import { type CommandContext, type GlobalOptions, openSession } from "./session.ts";

export async function showAudit(
  context: CommandContext,
  { limit, before, ...options }: GlobalOptions & AuditPage,
): Promise<void> {
  const { client, print, json } = await openSession(context, options);
  const entries = await client.audit({ limit, before }, context.signal);
  if (json) for (const entry of entries) print(entry, () => []);
  else print(entries, () => renderAudit(entries, context.stdout.hasColors?.() === true ? colored : plain));
}
