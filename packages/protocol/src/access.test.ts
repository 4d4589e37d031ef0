import { describe, expect, it } from "vitest";
import { auditEntrySchema, isAtLeast, newTokenSchema, roles, tokenRequestSchema } from "./access.ts";
import { accepts, parseAs } from "./parse.ts";

const request = { name: "ci", role: "operator" };
const at = "2026-03-01T12:00:00.000Z";

describe("a role", () => {
  it("may do what those before it may, and no more", () => {
    const may = roles.map((role) => roles.filter((needed) => isAtLeast(role, needed)));
    expect(may).toEqual([["viewer"], ["viewer", "operator"], ["viewer", "operator", "admin"]]);
  });
});

describe("a request for a token", () => {
  it("has a name, a role, and an end if it shall have one", () => {
    expect(parseAs(tokenRequestSchema, request, "it")).toEqual(request);
    for (const expiresInS of [60, 315_360_000])
      expect(accepts(tokenRequestSchema, { ...request, expiresInS })).toBe(true);
  });

  it.each([
    ["another role", { role: "owner" }],
    ["a role that every object has", { role: "constructor" }],
    ["no name", { name: "" }],
    ["a name for several", { name: "ci\nroot" }],
    ["no life", { expiresInS: 0 }],
    ["a life in the past", { expiresInS: -60 }],
    ["a life without an end that a clock could tell", { expiresInS: 315_360_001 }],
    ["half a second", { expiresInS: 60.5 }],
    ["a token of its own choice", { token: "hunter2" }],
  ])("is refused for %s", (_, change) =>
    expect(accepts(tokenRequestSchema, { ...request, ...change })).toBe(false),
  );
});

it("the answer to the making of a token is the only one that has it", () => {
  const view = { ...request, createdBy: "bootstrap", createdAt: at, expiresAt: null, expired: false };
  expect(accepts(newTokenSchema, { ...view, token: "t" })).toBe(true);
  expect(accepts(newTokenSchema, view)).toBe(false);
});

it("an entry of the audit trail may be without an outcome, but not without who asked", () => {
  const entry = { id: 1, at, request: "r", who: "ci", role: "operator", what: "POST /x", subject: null };
  expect(accepts(auditEntrySchema, { ...entry, outcome: null })).toBe(true);
  expect(accepts(auditEntrySchema, { ...entry, outcome: { status: 202, code: null, made: "op" } })).toBe(
    true,
  );
  expect(accepts(auditEntrySchema, { ...entry, who: null, outcome: null })).toBe(false);
});
