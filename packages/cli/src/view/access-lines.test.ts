import type { AuditEntry } from "@baton/protocol";
import { expect, it } from "vitest";
import { renderAudit, renderTokens } from "./access-lines.ts";

const at = "2026-01-02T03:04:05.678Z";
const entry: AuditEntry = {
  id: 101,
  at,
  request: "0".repeat(32),
  who: "night-shift",
  role: "operator",
  what: "POST /v1/operations",
  subject: "ledger",
  outcome: { status: 202, code: null, made: "op-01k2m3n4p5q6r7s8t9va" },
};
const apply: AuditEntry = {
  ...entry,
  id: 99,
  who: "ci",
  role: "viewer",
  what: "PUT /v1/clusters/:name",
  subject: "harbor-a",
  outcome: { status: 403, code: "forbidden", made: null },
};

it("a token is a line with whose it is, who made it, and its end", () => {
  const token = {
    role: "operator",
    createdBy: "bootstrap",
    createdAt: at,
    expiresAt: null,
    expired: false,
  } as const;
  expect(
    renderTokens([
      { ...token, name: "bootstrap", role: "admin", createdBy: null, createdAt: null },
      { ...token, name: "ci", expiresAt: "2026-02-01T00:00:00.000Z" },
      { ...token, name: "old", role: "viewer", expiresAt: at, expired: true },
    ]),
  ).toEqual([
    "bootstrap  admin     made by the orchestrator at its first start   does not expire",
    "ci         operator  made by bootstrap at 2026-01-02 03:04:05 UTC  expires at 2026-02-01 00:00:00 UTC",
    "old        viewer    made by bootstrap at 2026-01-02 03:04:05 UTC  expired at 2026-01-02 03:04:05 UTC",
  ]);
});

it("an entry is a line with who asked for what, and what came of it", () =>
  expect(
    renderAudit([
      entry,
      apply,
      {
        ...entry,
        id: 98,
        what: "POST /v1/tokens",
        subject: "ci",
        outcome: { status: 201, code: null, made: "ci" },
      },
      { ...entry, id: 97, subject: null, outcome: { status: 400, code: "invalid-request", made: null } },
      { ...apply, id: 9, outcome: null },
    ]),
  ).toEqual([
    "101  2026-01-02 03:04:05 UTC  night-shift (operator)  POST /v1/operations ledger  202 op-01k2m3n4p5q6r7s8t9va",
    "99   2026-01-02 03:04:05 UTC  ci (viewer)             PUT /v1/clusters/harbor-a   403 forbidden",
    "98   2026-01-02 03:04:05 UTC  night-shift (operator)  POST /v1/tokens ci          201",
    "97   2026-01-02 03:04:05 UTC  night-shift (operator)  POST /v1/operations         400 invalid-request",
    "9    2026-01-02 03:04:05 UTC  ci (viewer)             PUT /v1/clusters/harbor-a   not known whether it was done",
  ]));

it("nothing in an entry moves the cursor of a terminal", () => {
  const lines = renderAudit([{ ...entry, who: "ci\x1b[2J", what: "POST\n/x", subject: null }]);
  expect(lines).toHaveLength(1);
  for (const control of ["\x1b", "\n"]) expect(lines[0]).not.toContain(control);
});

it("no entries are no lines", () => expect(renderAudit([])).toEqual([]));
