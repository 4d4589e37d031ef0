import type { FencePort, KeyHolder } from "@baton/migration";
import { AppError, type KeyFence, type RoleFence } from "@baton/protocol";
import { describe, expect, it } from "vitest";
import { type Fence, composeFence } from "./fence-port.ts";

const holder: KeyHolder = { placement: "pl-00000000000000000001", epoch: 3 };
const signal = new AbortController().signal;
const at = "2026-01-02T03:04:05.678Z";
const inventory = { objects: 0, bytes: 0, digest: "" };
const keyRecord: KeyFence = {
  identity: "key",
  disabledAt: at,
  denied: [],
  settleMs: 0,
  uploads: { aborted: 0, complete: true },
  inventory,
};
const refused = { at, code: "28P01", tries: 3 };
const roleRecord: RoleFence = { role: "role", disabledAt: at, refused, ended: [], noneAt: at };

let calls: string[] = [];
function fenceOf<T>(name: string, record: T, failing?: keyof Fence<T>): Fence<T> {
  const call = (what: keyof Fence<T>) => (asked: KeyHolder) => {
    expect(asked).toEqual(holder);
    calls.push(`${name}.${what}`);
    if (what === failing) return Promise.reject(new AppError("fence-unproven", `${name} is not proven`));
    return Promise.resolve();
  };
  return {
    assertOpen: call("assertOpen"),
    apply: async (asked) => {
      await call("apply")(asked);
      return record;
    },
    disable: call("disable"),
  };
}
function compose(params: Partial<Parameters<typeof composeFence>[0]>): FencePort {
  calls = [];
  const fence = composeFence({ key: null, role: null, gap: null, ...params });
  if (fence === null) throw new Error("there is a fence");
  return fence;
}
const key = fenceOf("key", keyRecord);
const role = fenceOf("role", roleRecord);

describe("the fence of an application", () => {
  it("is none where there is nothing to take away, whatever else it writes to", () => {
    expect(composeFence({ key: null, role: null, gap: null })).toBeNull();
    expect(composeFence({ key: null, role: null, gap: "something" })).toBeNull();
  });

  it.each([
    ["a bucket", { key }, { key: keyRecord, role: null }],
    ["a database", { role }, { key: null, role: roleRecord }],
    ["both", { key, role }, { key: keyRecord, role: roleRecord }],
  ])("is that of %s, and says of each what was seen", async (_, parts, record) => {
    const fence = compose(parts);
    await fence.assertOpen(holder, signal);
    expect(await fence.apply(holder, signal)).toEqual(record);
    await fence.disable(holder, signal);
    for (const name of ["key", "role"])
      expect(calls.filter((call) => call.startsWith(name))).toEqual(
        name in parts ? [`${name}.assertOpen`, `${name}.apply`, `${name}.disable`] : [],
      );
  });

  it.each(["key", "role"] as const)("is not proven by one of two, when the %s is not", async (half) => {
    for (const failing of ["assertOpen", "apply", "disable"] as const) {
      const fence = compose({ key, role, [half]: fenceOf(half, null as never, failing) });
      await expect(fence[failing](holder, signal)).rejects.toMatchObject({
        code: "fence-unproven",
        message: `${half} is not proven`,
      });
    }
  });

  it("is none where something is written that has no fence: nothing is taken away then, but from who is gone", async () => {
    const fence = compose({ role, gap: 'the storage "harbor" has no fence' });
    for (const attempt of [fence.assertOpen(holder, signal), fence.apply(holder, signal)])
      await expect(attempt).rejects.toMatchObject({
        code: "fence-unproven",
        message: expect.stringContaining('the storage "harbor" has no fence') as string,
      });
    expect(calls).toEqual([]);
    await fence.disable(holder, signal);
    expect(calls).toEqual(["role.disable"]);
  });
});
