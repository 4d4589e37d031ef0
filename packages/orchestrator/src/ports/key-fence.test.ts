import { AppError } from "@baton/protocol";
import type { Identities } from "@baton/storage/fence";
import { describe, expect, it } from "vitest";
import { storageManifest } from "../fixtures/records-bed.ts";
import { createKeyFence } from "./key-fence.ts";

const holder = { placement: "pl-00000000000000000001", epoch: 3 };

describe("disabling a key without proof", () => {
  const disableWith = (failures: readonly AppError[]) => {
    const asked: string[] = [];
    const left = failures.values();
    const disable: Identities["disable"] = async ({ identity }) => {
      asked.push(identity);
      const { value, done } = left.next();
      if (done !== true) throw value;
    };
    const refuse = () => Promise.reject(new Error("not asked for"));
    const identities = { prepare: refuse, issue: refuse, keyOf: refuse, disable, close: () => undefined };
    const fence = createKeyFence({
      storage: storageManifest("silo"),
      identities,
      inFlightMs: async () => null,
    });
    return { asked, done: fence.disable(holder) };
  };

  it("asks again where the store fails over it", async () => {
    const { asked, done } = disableWith([new AppError("storage-unclear", "status 500")]);
    await done;
    expect(asked).toHaveLength(2);
    expect(new Set(asked).size).toBe(1);
  });

  it("does not ask again where the store refuses", async () => {
    const refused = new AppError("storage-credentials", "no administrator");
    const { asked, done } = disableWith([refused]);
    await expect(done).rejects.toBe(refused);
    expect(asked).toHaveLength(1);
  });
});
