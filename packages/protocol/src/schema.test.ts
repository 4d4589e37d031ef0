import fc from "fast-check";
import { describe, expect, it } from "vitest";
import * as v from "valibot";
import { accepts, parseAs } from "./parse.ts";
import { integer, moment, number, object, record, strictObject, url, variant } from "./schema.ts";

const read = (schema: v.GenericSchema, value: unknown): unknown => parseAs(schema, value, "it");
const refusing = (words: string) => expect.objectContaining({ message: `cannot read it: ${words}` });

/** Everything that is no object of fields, or only looks like one. */
const noObject = fc.oneof(
  fc.constantFrom<unknown>(null, undefined, true, 0, "", [], [["a", 1]], Symbol.iterator, () => 1),
  fc.array(fc.anything()),
);

describe("a number", () => {
  it("is finite; an integer is one that a double holds for certain", () => {
    fc.assert(
      fc.property(fc.oneof(fc.double(), fc.integer(), fc.maxSafeInteger(), fc.anything()), (value) => {
        expect(accepts(number, value)).toBe(Number.isFinite(value));
        expect(accepts(integer, value)).toBe(Number.isSafeInteger(value));
      }),
    );
  });

  it.each([
    [Number.NaN, "Invalid input: expected number, received NaN"],
    [JSON.parse("1e400"), "Invalid input: expected number, received Infinity"],
    [-Infinity, "Invalid input: expected number, received -Infinity"],
    ["1", "Invalid input: expected number, received string"],
    [1.5, "Invalid input: expected int, received number"],
    [-1.5, "Invalid input: expected int, received number"],
    [2 ** 53, "Too big: expected int to be <=9007199254740991; Too big: expected number to be <=9"],
    [-(2 ** 53), "Too small: expected int to be >=-9007199254740991; Too small: expected number to be >0"],
    [0, "Too small: expected number to be >0"],
    [-0, "Too small: expected number to be >0"],
    [10, "Too big: expected number to be <=9"],
  ])("is refused as an integer from 1 to 9: %s", (value, words) => {
    const schema = v.pipe(integer, v.gtValue(0), v.maxValue(9));
    expect(() => read(schema, value)).toThrow(refusing(words));
  });

  it("may be minus nothing where nothing is allowed", () => {
    expect(accepts(v.pipe(integer, v.minValue(0)), -0)).toBe(true);
  });
});

describe("a moment", () => {
  it("is what a date says of itself", () => {
    fc.assert(
      fc.property(
        fc.date({ noInvalidDate: true, min: new Date("0000-01-01"), max: new Date("9999-12-31") }),
        (date) => {
          expect(accepts(moment, date.toISOString())).toBe(true);
        },
      ),
    );
  });

  it("is of a day and a second that exist", () => {
    const two = (most: number) => fc.integer({ min: 0, max: most });
    const pad = (part: number, digits = 2) => String(part).padStart(digits, "0");
    const year = fc.oneof(fc.integer({ min: 0, max: 9_999 }), fc.constantFrom(1_900, 2_000, 2_023, 2_024));
    const day = fc.oneof(two(33), fc.constantFrom(28, 29, 30, 31));
    fc.assert(
      fc.property(year, two(14), day, two(26), two(62), two(62), (y, month, d, hour, minute, second) => {
        const date = new Date(0);
        date.setUTCFullYear(y, month - 1, d);
        const exists =
          date.getUTCFullYear() === y && date.getUTCMonth() === month - 1 && date.getUTCDate() === d;
        const text = `${pad(y, 4)}-${pad(month)}-${pad(d)}T${pad(hour)}:${pad(minute)}:${pad(second)}Z`;
        expect(accepts(moment, text)).toBe(exists && hour < 24 && minute < 60 && second < 60);
      }),
      { numRuns: 2_000 },
    );
  });

  it.each(["2026-03-01T12:00:00Z", "2026-03-01T12:00:00.1Z", "2026-03-01T12:00:00.123456789Z"])(
    "may be %s",
    (text) => {
      expect(read(moment, text)).toBe(text);
    },
  );

  it.each([
    "2026-03-01",
    "2026-03-01T12:00Z",
    "2026-03-01T12:00:00",
    "2026-03-01T12:00:00.Z",
    "2026-03-01T12:00:00+00:00",
    "2026-03-01t12:00:00z",
    "2026-03-01 12:00:00Z",
    "2026-03-01T12:00:00Z\n",
    "12026-03-01T12:00:00Z",
    "",
  ])("is refused as %j", (text) => {
    expect(() => read(moment, text)).toThrow(refusing("Invalid ISO datetime"));
  });
});

describe("a URL", () => {
  it.each([
    ["http://127.0.0.1:1/", "http://127.0.0.1:1/"],
    [" \thttp://a/ \n", "http://a/"],
    ["http://a\n.b/", "http://a.b/"],
    ["urn:x", "urn:x"],
  ])("is read from %j as %j", (text, read_) => {
    expect(read(url, text)).toBe(read_);
  });

  it.each(["", "a", "//a", "http://"])("is refused as %j", (text) => {
    expect(() => read(url, text)).toThrow(refusing("Invalid URL"));
  });
});

describe("a text's length", () => {
  it("is that in characters, not in halves of them", () => {
    const unit = fc.oneof(
      fc.string({ unit: "binary", minLength: 1, maxLength: 1 }),
      fc.constantFrom("\ud83d", "\ude00"),
    );
    fc.assert(
      fc.property(fc.string({ unit, maxLength: 8 }), (text) => {
        const { length } = Array.from(text);
        expect(accepts(v.pipe(v.string(), v.minCodePoints(4)), text)).toBe(length >= 4);
        expect(accepts(v.pipe(v.string(), v.maxCodePoints(4)), text)).toBe(length <= 4);
      }),
    );
  });

  it.each([
    [v.pipe(v.string(), v.minLength(1)), "", "Too small: expected string to have >=1 characters"],
    [
      v.pipe(v.string(), v.minCodePoints(2)),
      "\u{1f600}",
      "Too small: expected string to have >=2 characters",
    ],
    [v.pipe(v.string(), v.maxCodePoints(1)), "ab", "Too big: expected string to have <=1 characters"],
  ])("is told in characters", (schema, text, words) => {
    expect(() => read(schema, text)).toThrow(refusing(words));
  });
});

describe("an object", () => {
  const schema = strictObject({ a: integer, b: v.optional(v.string(), "x"), c: v.optional(number) });

  it("is no array and nothing else either, even when it needs no field", () => {
    const needsNothing = strictObject({ a: v.optional(v.string()) });
    const kinds = variant("kind", [strictObject({ kind: v.literal("a") })]);
    fc.assert(
      fc.property(noObject, (value) => {
        for (const each of [needsNothing, object({}), kinds, record(v.string(), v.unknown())])
          expect(accepts(each, value)).toBe(false);
      }),
    );
    expect(() => read(kinds, [])).toThrow(refusing("Invalid input: expected object, received array"));
  });

  it("has its defaults where a field is missing or undefined, and leaves out what may be missing", () => {
    expect(read(schema, { a: 1 })).toStrictEqual({ a: 1, b: "x" });
    expect(read(schema, { a: 1, b: undefined, c: undefined })).toStrictEqual({
      a: 1,
      b: "x",
      c: undefined,
    });
    expect(accepts(schema, { a: 1, b: null })).toBe(false);
    expect(accepts(schema, { a: undefined })).toBe(false);
  });

  it("refuses every other field, whatever it is called and holds", () => {
    const name = fc.oneof(fc.string(), fc.constantFrom("__proto__", "constructor", "prototype", "toString"));
    fc.assert(
      fc.property(fc.dictionary(name, fc.jsonValue(), { minKeys: 1, noNullPrototype: true }), (more) => {
        const others = Object.keys(more).filter((key) => !["a", "b", "c"].includes(key));
        fc.pre(others.length > 0);
        // As JSON has them: a field "__proto__" is one like any other there.
        const document: unknown = JSON.parse(
          `{"a":1,${JSON.stringify(Object.fromEntries(others.map((key) => [key, more[key]]))).slice(1)}`,
        );
        expect(accepts(schema, document)).toBe(false);
        expect(read(object({ a: integer }), document)).toStrictEqual({ a: 1 });
      }),
    );
  });

  it("that is loose takes nothing of another prototype", () => {
    const made = read(object({ a: integer }), JSON.parse('{"a":1,"__proto__":{"b":2}}'));
    expect(Object.getPrototypeOf(made)).toBe(Object.prototype);
    expect(made).not.toHaveProperty("b");
  });

  it("is looked at as a whole in spite of fields that it should not have", () => {
    const pair = v.pipe(
      strictObject({ a: integer, b: integer }),
      v.check(({ a, b }) => a < b, "a must be before b"),
    );
    expect(() => read(pair, { a: 2, b: 1, c: 0 })).toThrow(
      refusing('unknown field "c" (allowed: a, b); a must be before b'),
    );
    expect(() => read(pair, { a: "2", b: 1 })).toThrow(
      refusing('"a": Invalid input: expected number, received string'),
    );
  });

  it("is left as it was", () => {
    const document = Object.freeze({ a: 1, c: 2 });
    expect(read(schema, document)).not.toBe(document);
    expect(document).toStrictEqual({ a: 1, c: 2 });
  });
});

describe("a record", () => {
  const schema = record(v.string(), v.string());

  it("keeps every name but __proto__, which would not become a field", () => {
    const name = fc.oneof(
      fc.string(),
      fc.constantFrom("constructor", "prototype", "toString", "hasOwnProperty"),
    );
    fc.assert(
      fc.property(fc.dictionary(name, fc.string(), { noNullPrototype: true }), (fields) => {
        expect(Object.entries(read(schema, fields) as object)).toEqual(
          Object.entries(fields).filter(([key]) => key !== "__proto__"),
        );
      }),
    );
    const made = read(schema, JSON.parse('{"__proto__":{"polluted":"yes"},"a":"b"}'));
    expect(made).toStrictEqual({ a: "b" });
    expect(Object.getPrototypeOf(made)).toBe(Object.prototype);
    expect(made).not.toHaveProperty("polluted");
  });

  it.each([new Map([["a", "b"]]), new Date(0), new URL("http://a/")])(
    "is no instance of a class: %s",
    (value) => {
      expect(accepts(schema, value)).toBe(false);
    },
  );

  it("may be without a prototype", () => {
    expect(read(schema, Object.assign(Object.create(null), { a: "b" }))).toStrictEqual({ a: "b" });
  });

  it("tells of a refused name, and not of what it holds", () => {
    const lower = record(v.pipe(v.string(), v.regex(/^[a-z]$/)), v.string());
    expect(() => read(lower, { A: 1, b: 2 })).toThrow(
      refusing(
        '"A": the name Invalid string: must match pattern /^[a-z]$/; "b": Invalid input: expected string, received number',
      ),
    );
  });
});

describe("one of several objects", () => {
  const schema = variant("kind", [
    strictObject({ kind: v.literal("left"), n: integer }),
    strictObject({ kind: v.literal("right") }),
  ]);

  it.each<[unknown, string]>([
    [{}, '"kind": must be one of "left", "right"'],
    [{ kind: "toString" }, '"kind": must be one of "left", "right"'],
    [{ kind: ["left"] }, '"kind": must be one of "left", "right"'],
    [{ kind: "left" }, '"n": is missing (expected number)'],
    [{ kind: "right", n: 1 }, 'unknown field "n" (allowed: kind)'],
    ["left", "Invalid input: expected object, received string"],
    [undefined, "is missing (expected object)"],
  ])("is refused as %o in the words of the one it says it is", (value, words) => {
    expect(() => read(schema, value)).toThrow(refusing(words));
  });
});

it("what is refused is told in the words that readers know", () => {
  const schema = strictObject({
    text: v.string(),
    list: v.pipe(v.array(v.string()), v.minLength(1)),
    yes: v.boolean(),
    one: v.literal("one"),
    choice: v.picklist(["a", "b"]),
    nullable: v.nullable(v.string()),
  });
  expect(() => read(schema, { text: null, list: [], yes: 0, one: 1, choice: "c" })).toThrow(
    refusing(
      [
        '"text": Invalid input: expected string, received null',
        '"list": Too small: expected array to have >=1 items',
        '"yes": Invalid input: expected boolean, received number',
        '"one": Invalid input: expected "one"',
        '"choice": Invalid option: expected one of "a"|"b"',
        '"nullable": is missing (expected string)',
      ].join("; "),
    ),
  );
});
