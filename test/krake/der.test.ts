import { expect, it } from "vitest";
import * as der from "./der.ts";

// A certificate with a number that is not in its shortest form is refused, once in a few hundred random serial numbers.
it.each([
  ["00", "020100"],
  ["0000", "020100"],
  ["007f", "02017f"],
  ["0080", "02020080"],
  ["80", "02020080"],
  ["000001", "020101"],
])("the number %s is encoded in its shortest form", (value, encoded) => {
  expect(der.integer(Buffer.from(value, "hex")).toString("hex")).toBe(encoded);
});

it("lengths and object ids of several bytes are encoded", () => {
  expect(der.octets(Buffer.alloc(300)).subarray(0, 4).toString("hex")).toBe("0482012c");
  expect(der.objectId("1.2.840.113549.1.1.11").toString("hex")).toBe("06092a864886f70d01010b");
});
