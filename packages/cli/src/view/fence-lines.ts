import type { Operation } from "@baton/protocol";
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
  if (fence === null) return lines;
  const { denied, settleMs, uploads, inventory } = fence;
  lines.push(
    `  fence: the key ${oneLine(fence.identity)} was taken away at ${fence.disabledAt.slice(11, 23)} (UTC)`,
    ...denied.map(
      ({ endpoint, at, tries }) =>
        `    refused at ${oneLine(endpoint)} from ${at.slice(11, 23)} on, after ${tries} tries`,
    ),
    `    then ${formatMs(settleMs)} for what had begun before; ${uploadsIn(uploads)}`,
    `    left behind: ${inventory.objects} objects, ${inventory.bytes} bytes, digest ${inventory.digest.slice(0, 16)}…`,
  );
  return lines;
}

const uploadsIn = ({ aborted, complete }: NonNullable<Operation["fence"]>["uploads"]): string =>
  `${aborted} open uploads aborted${complete ? "" : " (the store does not list all of them)"}`;
