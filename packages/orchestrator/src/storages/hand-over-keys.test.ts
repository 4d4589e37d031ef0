import { AppError } from "@baton/protocol";
import { expect, it } from "vitest";
import { storageManifest } from "../fixtures/records-bed.ts";
import { handOverKeys } from "./hand-over-keys.ts";

const storage = storageManifest("harbor");
const servedFrom = { ...storage, credentials: { ...storage.credentials, delivery: "endpoint" } as const };
const serving = (application: string, more = {}) => ({
  application,
  placement: `pl-of-${application}`,
  cluster: "harbor-a",
  epoch: 3,
  storage: servedFrom,
  operation: null,
  ...more,
});
const taken = { fetchedAt: null, oldUntil: "2026-01-01T00:05:30.000Z" };

it("hands the key to what runs and is served it, each in its epoch, and to nobody else", async () => {
  const asked: string[] = [];
  const handed = await handOverKeys({
    serving: [serving("ledger"), serving("tide", { storage }), serving("still")],
    async replaceKey({ placement, epoch }) {
      asked.push(`${placement} in ${epoch}`);
      return placement === "pl-of-still" ? null : taken;
    },
  });
  expect(asked).toEqual(["pl-of-ledger in 3", "pl-of-still in 3"]);
  expect(handed).toEqual([
    { application: "ledger", placement: "pl-of-ledger", cluster: "harbor-a", taken, error: null },
  ]);
});

it("says which one did not take it and why, and is not held up by it", async () => {
  const refusal = new AppError("wrong-state", "cannot replace the key: another run");
  const failures = new Map<string, Error>([
    ["ledger", refusal],
    ["tide", new Error("secret inner words")],
  ]);
  const handed = await handOverKeys({
    serving: [serving("ledger"), serving("tide"), serving("moving", { operation: "op-1" }), serving("well")],
    async replaceKey({ application }) {
      const failure = failures.get(application);
      if (failure !== undefined) throw failure;
      if (application === "moving") throw new Error("it was not to be asked");
      return taken;
    },
  });
  expect(handed.map(({ application, error }) => [application, error?.code ?? null])).toEqual([
    ["ledger", "wrong-state"],
    ["tide", "internal"],
    ["moving", "wrong-state"],
    ["well", null],
  ]);
  expect(handed[0]?.error?.detail).toBe(refusal.message);
  expect(handed[2]?.error?.detail).toContain("operation op-1 is not over");
  expect(JSON.stringify(handed)).not.toContain("secret inner words");
});
