import { expect, it } from "vitest";
import { renderFence } from "./fence-lines.ts";

const at = "2026-01-02T03:04:05.678Z";
const key = {
  identity: "baton-0123456789ab-pl-1-2",
  disabledAt: at,
  denied: [{ endpoint: "http://127.0.0.1:9000", at, tries: 3 }],
  settleMs: 61_000,
  uploads: { aborted: 2, complete: false },
  inventory: { objects: 12, bytes: 3_456, digest: "ab".repeat(32) },
};
const role = {
  role: "baton-pl-1-2",
  disabledAt: at,
  refused: { at, code: "28P01", tries: 3 },
  ended: ["client backend 7 since 2026-01-02 03:00:00"],
  noneAt: at,
};

it("is silent where a graceful stop was all that was needed", () =>
  expect(renderFence({ fence: null, possibleLoss: false })).toEqual([]));

it("tells what was done to the key, and what that may have cost", () =>
  expect(renderFence({ fence: { key, role: null }, possibleLoss: true })).toEqual([
    "  possible loss: the source was not stopped gracefully; what it had not stored yet is not here",
    "  fence: the key baton-0123456789ab-pl-1-2 was taken away at 03:04:05.678 (UTC)",
    "    refused at http://127.0.0.1:9000 from 03:04:05.678 on, after 3 tries",
    "    then 1 min 01 s for what had begun before; 2 open uploads aborted (the store does not list all of them)",
    "    left behind: 12 objects, 3456 bytes, digest abababababababab…",
  ]));

it("tells what was done to the role, and of whose sessions", () =>
  expect(renderFence({ fence: { key: null, role }, possibleLoss: false })).toEqual([
    "  fence: the role baton-pl-1-2 was shut out at 03:04:05.678 (UTC)",
    "    its password refused (28P01) from 03:04:05.678 on, after 3 tries",
    "    1 session ended; none left at 03:04:05.678",
    "      client backend 7 since 2026-01-02 03:00:00",
  ]));

it("tells of both where there were both", () => {
  const lines = renderFence({ fence: { key, role: { ...role, ended: [] } }, possibleLoss: false });
  expect(lines.filter((line) => line.startsWith("  fence"))).toHaveLength(2);
  expect(lines.at(-1)).toContain("0 sessions ended");
});

it("says that all uploads are known where they are", () =>
  expect(
    renderFence({
      fence: { key: { ...key, uploads: { aborted: 0, complete: true } }, role: null },
      possibleLoss: false,
    }).join("\n"),
  ).toContain("; 0 open uploads aborted\n"));
