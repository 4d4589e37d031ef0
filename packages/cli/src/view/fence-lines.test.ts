import { expect, it } from "vitest";
import { renderFence } from "./fence-lines.ts";

const at = "2026-01-02T03:04:05.678Z";
const fence = {
  identity: "baton-0123456789ab-pl-1-2",
  disabledAt: at,
  denied: [{ endpoint: "http://127.0.0.1:9000", at, tries: 3 }],
  settleMs: 61_000,
  uploads: { aborted: 2, complete: false },
  inventory: { objects: 12, bytes: 3_456, digest: "ab".repeat(32) },
};

it("is silent where a graceful stop was all that was needed", () =>
  expect(renderFence({ fence: null, possibleLoss: false })).toEqual([]));

it("tells what was done to the key, and what that may have cost", () =>
  expect(renderFence({ fence, possibleLoss: true })).toEqual([
    "  possible loss: the source was not stopped gracefully; what it had not stored yet is not here",
    "  fence: the key baton-0123456789ab-pl-1-2 was taken away at 03:04:05.678 (UTC)",
    "    refused at http://127.0.0.1:9000 from 03:04:05.678 on, after 3 tries",
    "    then 1 min 01 s for what had begun before; 2 open uploads aborted (the store does not list all of them)",
    "    left behind: 12 objects, 3456 bytes, digest abababababababab…",
  ]));

it("says that all uploads are known where they are", () =>
  expect(
    renderFence({ fence: { ...fence, uploads: { aborted: 0, complete: true } }, possibleLoss: false }).join(
      "\n",
    ),
  ).toContain("; 0 open uploads aborted\n"));
