import { AppError } from "@baton/protocol";
import { expect, it } from "vitest";
import { pollUntil, within } from "./deadline.ts";

it("names what was waited for when the time is over, and stops the polling", async () => {
  let asked = 0;
  let left: Promise<unknown> = Promise.resolve();
  const call = within(50, "place it", async (deadline) => {
    deadline.begin("waiting for rain");
    left = pollUntil(deadline.signal, async () => {
      asked += 1;
      return undefined;
    });
    return await left;
  });
  await expect(call).rejects.toThrow("cannot place it: no answer within 50 ms while waiting for rain");
  await expect(call).rejects.toMatchObject({ code: "cluster-unavailable" });
  await expect(left).rejects.toThrow(/aborted|no answer/);
  expect(asked).toBeGreaterThan(0);
});

it("leaves work behind that hangs, and lets it begin nothing more", async () => {
  const hanging = Promise.withResolvers<void>();
  let later: Promise<void> = Promise.resolve();
  const call = within(20, "place it", async (deadline) => {
    later = hanging.promise.then(() => deadline.begin("acting"));
    await later;
  });
  await expect(call).rejects.toMatchObject({ code: "cluster-unavailable" });
  hanging.resolve();
  await expect(later).rejects.toMatchObject({ code: "cluster-unavailable" });
});

it("passes an AppError on and makes cluster-unavailable of everything else", async () => {
  const conflict = new AppError("placement-conflict", "cannot place it: taken");
  await expect(within(1_000, "place it", () => Promise.reject(conflict))).rejects.toBe(conflict);
  const denied = Object.assign(new Error("/secret/path"), { code: "EACCES" });
  const call = within(1_000, "place it", () => Promise.reject(denied));
  await expect(call).rejects.toMatchObject({ code: "cluster-unavailable", cause: denied });
  await expect(call).rejects.toThrow("EACCES");
});
