import { describe, expect, it } from "vitest";
import { parseStoreKeys } from "./store-keys.ts";

const grant = { bucket: "harbor", prefix: "", write: true };
const key = { accessKeyId: "ALL", secretAccessKey: "hidden", allow: [grant] };

describe("parseStoreKeys", () => {
  it("gives back valid keys", () => {
    const value = { buckets: ["harbor"], keys: [key] };
    expect(parseStoreKeys(value)).toEqual(value);
  });

  it.each([
    ["the keys file: must be an object", []],
    ['the keys file: unknown field "key"', { buckets: [], key: [] }],
    ["buckets[0]: must be a string", { buckets: ["No/Bucket"], keys: [] }],
    ["keys: must be a list", { buckets: [] }],
    ["keys: an accessKeyId is there twice", { buckets: ["harbor"], keys: [key, key] }],
    ["keys[0].secretAccessKey: must", { buckets: ["harbor"], keys: [{ ...key, secretAccessKey: 7 }] }],
    [
      'keys[0].allow[0].bucket: "pier" is not listed',
      { buckets: ["pie"], keys: [{ ...key, allow: [{ ...grant, bucket: "pier" }] }] },
    ],
    [
      "keys[0].allow[0].write: must be true",
      { buckets: ["harbor"], keys: [{ ...key, allow: [{ ...grant, write: 1 }] }] },
    ],
  ])("says %s", (message, value) => {
    expect(() => parseStoreKeys(value)).toThrow(message);
  });
});
