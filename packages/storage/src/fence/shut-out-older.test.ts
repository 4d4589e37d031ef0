import { AppError } from "@baton/protocol";
import { expect, it } from "vitest";
import { createTestClock } from "../test-clock.ts";
import { shutOutOlder } from "./shut-out-older.ts";

const prefix = "baton-x-";

function createStage(listings: readonly (readonly string[] | AppError)[]) {
  const calls: string[] = [];
  let next = 0;
  const called =
    (name: string) =>
    async ({ role, timeoutMs }: { readonly role: string; readonly timeoutMs: number }) => {
      expect(timeoutMs).toBeGreaterThan(0);
      calls.push(`${name} ${role}`);
    };
  const admin = {
    disable: called("disable"),
    endSessions: called("end"),
    older: async (asked: { readonly prefix: string; readonly epoch: number }) => {
      expect(asked).toMatchObject({ prefix, epoch: 3 });
      const found = listings[Math.min(next, listings.length - 1)] ?? [];
      next += 1;
      if (found instanceof AppError) throw found;
      return found;
    },
  };
  const clock = createTestClock();
  return { calls, done: () => shutOutOlder({ admin, prefix, epoch: 3, deadlineMs: 1_000, clock }) };
}

it("does nothing where there is nothing", async () => {
  const stage = createStage([[]]);
  await stage.done();
  expect(stage.calls).toEqual([]);
});

it("shuts out whatever is there, and looks until it is gone", async () => {
  const stage = createStage([["a", "b"], ["b"], []]);
  await stage.done();
  expect(stage.calls).toEqual(["disable a", "end a", "disable b", "end b", "disable b", "end b"]);
});

it("is not content with sessions that do not end, and says whose", async () => {
  await expect(createStage([["stuck"]]).done()).rejects.toMatchObject({
    code: "fence-unproven",
    message: expect.stringContaining("stuck") as string,
  });
});

it("is not content with no answer", async () => {
  const unclear = new AppError("storage-unclear", "no answer");
  await expect(createStage([unclear]).done()).rejects.toBe(unclear);
});
