import type { KeyFence, Operation, RoleFence } from "@baton/protocol";
import { formatMs, oneLine } from "./text.ts";

/** What stood in for a graceful stop, and what that may have cost; nothing for an operation without either. */
export function renderFence({
  fence,
  possibleLoss,
}: Pick<Operation, "fence" | "possibleLoss">): readonly string[] {
  const lines: string[] = [];
  if (possibleLoss)
    lines.push(
      "  possible loss: the source was not stopped gracefully; what it had not stored yet is not here",
    );
  if (fence?.key) lines.push(...keyLines(fence.key));
  if (fence?.role) lines.push(...roleLines(fence.role));
  return lines;
}

const keyLines = ({ identity, disabledAt, denied, settleMs, uploads, inventory }: KeyFence) => [
  `  fence: the key ${oneLine(identity)} was taken away at ${timeOf(disabledAt)} (UTC)`,
  ...denied.map(
    ({ endpoint, at, tries }) =>
      `    refused at ${oneLine(endpoint)} from ${timeOf(at)} on, after ${tries} tries`,
  ),
  `    then ${formatMs(settleMs)} for what had begun before; ${uploadsIn(uploads)}`,
  `    left behind: ${inventory.objects} objects, ${inventory.bytes} bytes, digest ${inventory.digest.slice(0, 16)}…`,
];

const roleLines = ({ role, disabledAt, refused, ended, noneAt }: RoleFence) => [
  `  fence: the role ${oneLine(role)} was shut out at ${timeOf(disabledAt)} (UTC)`,
  `    its password refused (${oneLine(refused.code)}) from ${timeOf(refused.at)} on, after ${refused.tries} tries`,
  `    ${ended.length === 1 ? "1 session" : `${ended.length} sessions`} ended; none left at ${timeOf(noneAt)}`,
  ...ended.map((session) => `      ${oneLine(session)}`),
];

/** The time of day of a moment. */
const timeOf = (moment: string): string => moment.slice(11, 23);

const uploadsIn = ({ aborted, complete }: KeyFence["uploads"]): string =>
  `${aborted} open uploads aborted${complete ? "" : " (the store does not list all of them)"}`;
