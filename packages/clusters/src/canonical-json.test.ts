import { expect, it } from "vitest";
import { canonicalJson } from "./canonical-json.ts";

it("is equal for equal values whatever the order of their keys", () => {
  const one = { b: [1, { d: 1, c: undefined }], a: null };
  expect(canonicalJson(one)).toBe(canonicalJson({ a: null, b: [1, { d: 1 }] }));
  expect(canonicalJson(one)).toBe('{"a":null,"b":[1,{"d":1}]}');
});

it("differs for another order of a list", () => {
  expect(canonicalJson([1, 2])).not.toBe(canonicalJson([2, 1]));
});
