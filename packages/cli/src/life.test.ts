import { expect, it } from "vitest";
import { parseLife } from "./life.ts";

it.each([
  ["1m", 60],
  ["90m", 5_400],
  ["12h", 43_200],
  ["30d", 2_592_000],
  ["3650d", 315_360_000],
])("%s is a life of %i seconds", (text, seconds) => expect(parseLife(text)).toBe(seconds));

it.each(["", "soon", "0d", "-1d", "1.5h", "30", "30s", "30D", "1d2h", "3651d", "9999999m", " 1d"])(
  "%j is no life of a token",
  (text) => expect(() => parseLife(text)).toThrow(`after "${text}": it must be minutes, hours or days`),
);
