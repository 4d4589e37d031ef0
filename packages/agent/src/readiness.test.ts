import { describe, expect, it } from "vitest";
import { waitUntilReady } from "./readiness.ts";
import { createApplication } from "./application.ts";

const facts = {
  run: { placement: "pl-00000000000000000001", instance: "1", counter: 1 },
  epoch: 1,
  operation: "op-00000000000000000000",
  grant: "grant",
  cookie: "pl-00000000000000000001:cookie",
  bootId: "boot",
  pidNamespace: null,
  since: "1",
  slot: null,
  hasSecrets: false,
  container: null,
  noNewPrivileges: false,
  process: null,
  readyAt: null,
  open: false,
  end: null,
  endedBy: null,
};

describe("waiting for readiness", () => {
  // A loaded machine once saw the exit before it looked at the stop, and called the application's own what a stop had done.
  it.each([
    [true, "aborted"],
    [false, "exited"],
  ])("of an application that has exited, stopped before: %s, ends as %s", async (stopped, expected) => {
    const application = createApplication({
      facts,
      root: null,
      exit: Promise.resolve({ code: 0, signal: null }),
      environment: {},
    });
    await application.exited;
    const signal = stopped ? AbortSignal.abort() : new AbortController().signal;
    const result = await waitUntilReady({ application, port: 1, path: "/", timeoutMs: 1_000, signal });
    expect(result).toBe(expected);
  });
});
