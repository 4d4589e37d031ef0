import type { AuditEntry, TokenView } from "@baton/protocol";
import { type Paint, columns, oneLine, plain, stamp } from "./text.ts";

/** One line a token: its name, what it may, who made it and when, and its end. */
export function renderTokens(tokens: readonly TokenView[]): readonly string[] {
  return columns(
    tokens.map(({ name, role, createdBy, createdAt, expiresAt, expired }) => [
      name,
      role,
      createdBy === null || createdAt === null
        ? "made by the orchestrator at its first start"
        : `made by ${oneLine(createdBy)} at ${stamp(createdAt)}`,
      expiresAt === null ? "does not expire" : `${expired ? "expired" : "expires"} at ${stamp(expiresAt)}`,
    ]),
  );
}

/** One line an entry, whole also where the terminal is narrower: id, when, who, what it was about, and what came of it. */
export function renderAudit(entries: readonly AuditEntry[], paint: Paint = plain): readonly string[] {
  const left = columns(
    entries.map((entry) => [
      String(entry.id),
      stamp(entry.at),
      `${oneLine(entry.who)} (${entry.role})`,
      requestOf(entry),
    ]),
  );
  const width = Math.max(0, ...left.map(({ length }) => length));
  return entries.map((entry, n) => `${(left[n] ?? "").padEnd(width)}  ${endOf(entry, paint)}`);
}

/** "PUT /v1/clusters/harbor-a", "POST /v1/operations ledger". */
function requestOf({ what, subject }: AuditEntry): string {
  if (subject === null) return oneLine(what);
  const filled = what.replace(/:\w+/, subject);
  return oneLine(filled === what ? `${what} ${subject}` : filled);
}

function endOf({ outcome, subject }: AuditEntry, paint: Paint): string {
  if (outcome === null) return paint("yellow", "not known whether it was done");
  const { status, code, made } = outcome;
  if (code !== null) return paint("red", `${status} ${oneLine(code)}`);
  return paint("green", `${status}${made === null || made === subject ? "" : ` ${oneLine(made)}`}`);
}
