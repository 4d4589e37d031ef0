import { inspect } from "node:util";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import * as v from "valibot";
import { agentOperationSchema } from "./agent-api.ts";
import { commandSchema } from "./command.ts";
import { newOperationId } from "./ids.ts";
import { manifestSchemas } from "./manifest.ts";
import { operationRequestSchema } from "./operation.ts";
import { accepts, parseAs } from "./parse.ts";
import { integer, number, record, strictObject, variant } from "./schema.ts";

function refusalOf(schema: v.GenericSchema, value: unknown): string {
  try {
    parseAs(schema, value, "it");
  } catch (error) {
    expect(error).toMatchObject({ name: "AppError", code: "invalid-request" });
    return (error as Error).message;
  }
  return expect.unreachable("it was accepted");
}

const inner = strictObject({ ms: integer, name: v.optional(v.string()) });
const outer = strictObject({
  one: v.optional(inner, { ms: 1 }),
  list: v.optional(v.array(inner)),
  byName: v.optional(record(v.pipe(v.string(), v.regex(/^[a-z]+$/, "must be lower case")), inner)),
  choice: v.optional(
    variant("kind", [
      strictObject({ kind: v.literal("left"), inner }),
      strictObject({ kind: v.literal("right"), ms: integer }),
    ]),
  ),
  loose: v.optional(v.union([v.string(), number])),
});

describe("what is read", () => {
  it("comes back with its defaults", () => {
    expect(parseAs(outer, {}, "it")).toEqual({ one: { ms: 1 } });
  });

  it("is refused with the code and the words of its reader", () => {
    expect(() => parseAs(inner, [], "the file x", "invalid-manifest")).toThrow(
      expect.objectContaining({
        code: "invalid-manifest",
        message: "cannot read the file x: Invalid input: expected object, received array",
      }),
    );
  });

  it("is refused with every wrong field, each by its path", () => {
    const wrong = { one: { ms: "1" }, list: [{ ms: 1 }, { ms: 1.5 }], byName: { x: { ms: null } }, more: 1 };
    expect(refusalOf(outer, wrong)).toBe(
      "cannot read it: " +
        [
          '"one.ms": Invalid input: expected number, received string',
          '"list[1].ms": Invalid input: expected int, received number',
          '"byName.x.ms": Invalid input: expected number, received null',
          'unknown field "more" (allowed: one, list, byName, choice, loose)',
        ].join("; "),
    );
  });

  it("is refused for a field that is missing", () => {
    expect(refusalOf(inner, {})).toBe('cannot read it: "ms": is missing (expected number)');
    expect(refusalOf(inner, undefined)).toBe("cannot read it: is missing (expected object)");
  });
});

describe("an unknown field", () => {
  it.each<[string, unknown, string]>([
    ["in an object", { one: { ms: 1, x: 2, y: 3 } }, '"one": unknown field "x", "y" (allowed: ms, name)'],
    ["in a list", { list: [{ ms: 1, x: 2 }] }, '"list[0]": unknown field "x" (allowed: ms, name)'],
    ["in a record", { byName: { q: { ms: 1, x: 2 } } }, '"byName.q": unknown field "x" (allowed: ms, name)'],
    [
      "in an option",
      { choice: { kind: "right", ms: 1, x: 2 } },
      '"choice": unknown field "x" (allowed: kind, ms)',
    ],
    [
      "below an option",
      { choice: { kind: "left", inner: { ms: 1, x: 2 } } },
      '"choice.inner": unknown field "x" (allowed: ms, name)',
    ],
  ])("%s is named with what is allowed there", (_, value, words) => {
    expect(refusalOf(outer, value)).toBe(`cannot read it: ${words}`);
  });
});

describe("a choice", () => {
  it.each<[string, v.GenericSchema, unknown, string]>([
    [
      "a request",
      operationRequestSchema,
      { kind: "erase" },
      '"kind": must be one of "deploy", "migrate", "stop", "start", "delete"',
    ],
    [
      "a request without a kind",
      operationRequestSchema,
      {},
      '"kind": must be one of "deploy", "migrate", "stop", "start", "delete"',
    ],
    [
      "a request that is a text",
      operationRequestSchema,
      "deploy",
      "Invalid input: expected object, received string",
    ],
    [
      "a request with a field too many",
      operationRequestSchema,
      { kind: "migrate", application: "a", to: "b", force: true },
      'unknown field "force" (allowed: kind, application, plan, to, strategy, cold)',
    ],
    [
      "a command",
      commandSchema,
      { kind: 7 },
      '"kind": must be one of "stop", "start", "burn", "withdraw", "open", "keys", "check", "read"',
    ],
    [
      "a command with fields of another",
      commandSchema,
      { kind: "withdraw", key: "k", operation: newOperationId(), grant: "g" },
      'unknown field "grant" (allowed: kind, key, operation)',
    ],
    [
      "an agent's operation",
      agentOperationSchema,
      { key: "k", kind: "stop", state: "done" },
      '"state": must be one of "open", "receipt", "started", "failed"',
    ],
  ])("names its options: %s", (_, schema, value, words) => {
    expect(refusalOf(schema, value)).toBe(`cannot read it: ${words}`);
  });

  it("without a field to choose by is refused in the fewest words", () => {
    expect(refusalOf(outer, { loose: true })).toBe('cannot read it: "loose": Invalid input');
  });
});

describe("a refused name", () => {
  it("is told with the rule for names", () => {
    expect(refusalOf(outer, { byName: { Q: { ms: 1 } } })).toBe(
      'cannot read it: "byName.Q": the name must be lower case',
    );
  });

  it("is told up to where it stops looking like a name, on one line", () => {
    const environment = { "PASSWORD=hunter2": "", "TOKEN\nhunter2": "", "hunter 2": "" };
    const workload = { command: ["a"], environment };
    const application = { kind: "application", name: "a", storage: "b", readiness: { path: "/" }, workload };
    const message = refusalOf(manifestSchemas.application, application);
    expect(message).toContain(
      '"workload.environment.PASSWORD…": the name must be letters, digits and "_", no digit first; "workload.environment.TOKEN…"',
    );
    expect(message).not.toMatch(/hunter2|\n/);
    expect(refusalOf(inner, { ms: 1, "x: hunter2": 1 })).toContain('unknown field "x…" (allowed: ms, name)');
    expect(refusalOf(inner, { ms: 1, ["x".repeat(1_000)]: 1 })).toContain(`"${"x".repeat(80)}…"`);
  });
});

it("never tells what a field holds", () => {
  const secret = "hunter2-correct-horse";
  const place = fc.constantFrom("one", "list", "byName", "choice", "loose", "kind");
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom<unknown>(secret, [secret], null, 7, true),
      fc.array(tie("any"), { maxLength: 2 }),
      fc.dictionary(fc.constantFrom("ms", "name", "kind", "inner", "a", "x"), tie("any"), { maxKeys: 4 }),
    ),
  })).any;
  const schemas = [outer, commandSchema, operationRequestSchema, ...Object.values(manifestSchemas)];
  let refusals = 0;
  fc.assert(
    fc.property(
      fc.dictionary(place, value, { minKeys: 1 }),
      fc.constantFrom(...schemas),
      (document, schema) => {
        try {
          parseAs(schema, document, "it");
        } catch (error) {
          refusals += 1;
          // Nor do the fields of the error, which a logger may write.
          expect(inspect(error, { depth: null })).not.toContain("hunter2");
          expect(accepts(schema, document)).toBe(false);
        }
      },
    ),
    { numRuns: 500 },
  );
  // Else nothing was shown.
  expect(refusals).toBeGreaterThan(250);
});
