import { AppError } from "@baton/protocol";
import { describe, expect, it, vi } from "vitest";
import { see } from "./see.ts";

const never = new AbortController().signal;

describe("a look", () => {
  it("gives what was seen", async () => {
    expect(await see(async () => 7, { timeoutMs: 1_000, signal: never })).toEqual({ known: true, value: 7 });
  });

  it("tells why nothing was seen, and of what is not for people only that", async () => {
    const failing = async (error: Error) =>
      see(() => Promise.reject(error), { timeoutMs: 1_000, signal: never });
    const denied = new AppError("storage-credentials", "denied");
    expect(await failing(denied)).toEqual({ known: false, why: "denied" });
    expect(JSON.stringify(await failing(new Error("hunter2")))).not.toContain("hunter2");
  });

  it("does not wait for what never answers, and lets it know", async () => {
    vi.useFakeTimers();
    try {
      let told: AbortSignal | undefined;
      const looking = see(
        (signal) => {
          told = signal;
          return new Promise(() => undefined);
        },
        { timeoutMs: 50, signal: never },
      );
      await vi.advanceTimersByTimeAsync(50);
      expect(await looking).toEqual({ known: false, why: "there was no answer within 50 ms" });
      expect(told?.aborted).toBe(true);
    } finally {
      vi.useRealTimers();
    }
  });

  it("ends with the caller", async () => {
    const caller = new AbortController();
    const limits = { timeoutMs: 60_000, signal: caller.signal };
    const looking = see(() => new Promise(() => undefined), limits);
    caller.abort(new AppError("deadline-exceeded", "the step is over"));
    expect(await looking).toEqual({ known: false, why: "the step is over" });
    expect(await see(async () => 7, limits)).toMatchObject({ known: false });
  });
});
