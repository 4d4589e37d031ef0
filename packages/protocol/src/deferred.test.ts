import { describe, expect, it } from "vitest";
import * as z from "zod/mini";
import { deferred } from "./deferred.ts";

describe("a deferred schema", () => {
  it("is made once, at the first question, and not by being put into another one", () => {
    let made = 0;
    const inner = deferred(() => {
      made += 1;
      return z.strictObject({ a: z.string() });
    });
    const outer = z.strictObject({ inner: z.nullable(inner), list: z.array(inner) });
    expect(outer.parse({ inner: null, list: [] })).toEqual({ inner: null, list: [] });
    expect(made).toBe(0);
    expect(outer.parse({ inner: { a: "x" }, list: [{ a: "y" }] })).toEqual({
      inner: { a: "x" },
      list: [{ a: "y" }],
    });
    expect(outer.safeParse({ inner: { a: 1 }, list: [] }).success).toBe(false);
    expect(inner.shape.a.parse("x")).toBe("x");
    expect(made).toBe(1);
  });

  it("can be one of a discriminated union, optional, and a default", () => {
    const a = deferred(() => z.strictObject({ kind: z.literal("a") }));
    const b = deferred(() => z.strictObject({ kind: z.literal("b"), n: z.optional(a) }));
    const union = z.discriminatedUnion("kind", [a, b]);
    expect(union.parse({ kind: "b", n: { kind: "a" } })).toEqual({ kind: "b", n: { kind: "a" } });
    expect(union.safeParse({ kind: "c" }).success).toBe(false);
    expect(z.strictObject({ a: z.optional(a) }).parse({})).toEqual({});
    expect(z._default(a, { kind: "a" }).parse(undefined)).toEqual({ kind: "a" });
    expect(z.record(z.string(), a).parse({ x: { kind: "a" } })).toEqual({ x: { kind: "a" } });
  });

  it("infers as the schema itself, and converts with the rest", () => {
    const a = deferred(() => z.strictObject({ n: z.pipe(z.string(), z.transform(Number)) }));
    const parsed: z.output<typeof a> = a.parse({ n: "1" });
    expect(parsed.n).toBe(1);
    const text = deferred(() => z.strictObject({ n: z.int() }));
    expect(z.toJSONSchema(z.strictObject({ list: z.array(text) }))).toMatchObject({
      properties: { list: { items: { properties: { n: { type: "integer" } } } } },
    });
  });

  it.each([
    ["optional", () => z.optional(z.string())],
    ["with a default", () => z._default(z.string(), "x")],
  ])("is refused for one that is %s: an object would take the field for a needed one", (_, make) => {
    expect(() => z.strictObject({ a: deferred<z.ZodMiniType>(make) }).parse({})).toThrow("cannot defer");
  });
});
