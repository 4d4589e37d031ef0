import { describe, expect, it } from "vitest";
import { hookSchema, readinessSchema, verifySchema, workloadSchema } from "./hook.ts";

describe("a hook", () => {
  it("is complete when it says nothing, and then never kills", () => {
    expect(hookSchema.parse({})).toEqual({
      signal: "SIGTERM",
      graceMs: 10_000,
      killAllowed: false,
      gracefulExitCodes: [0],
    });
  });

  it.each([
    { signal: "SIGINT", graceMs: 1, killAllowed: true, gracefulExitCodes: [0, 143, 255] },
    { graceMs: 3_600_000 },
  ])("may say %o", (hook) => {
    expect(hookSchema.parse(hook)).toMatchObject(hook);
  });

  it.each([
    { signal: "SIGKILL" },
    { signal: "SIGSTOP" },
    { signal: "TERM" },
    { graceMs: 0 },
    { graceMs: 1.5 },
    { graceMs: "10s" },
    { graceMs: 3_600_001 },
    { killAllowed: "no" },
    { gracefulExitCodes: [] },
    { gracefulExitCodes: [256] },
    { gracefulExitCodes: [-1] },
    { gracefulExitCodes: 0 },
    { grace: 10 },
  ])("may not say %o", (hook) => {
    expect(hookSchema.safeParse(hook).success).toBe(false);
  });
});

describe.each([
  { what: "a readiness path", schema: readinessSchema },
  { what: "a verification path", schema: verifySchema },
])("$what", ({ schema }) => {
  it.each(["/", "/ready", "/a?b=c"])("may be %s", (path) => {
    expect(schema.safeParse({ path }).success).toBe(true);
  });

  it.each(["", "ready", "http://example.org/", "/a b", "/a\n", undefined])("is refused as %j", (path) => {
    expect(schema.safeParse({ path }).success).toBe(false);
  });
});

describe("a workload", () => {
  it.each([
    { command: ["a"] },
    { command: ["a", "b"], workingDirectory: "." },
    { command: ["a"], environment: { A_1: "", _b: "x" } },
  ])("may be %o", (workload) => {
    expect(workloadSchema.parse(workload)).toMatchObject(workload);
  });

  it.each([
    {},
    { command: [] },
    { command: [""] },
    { command: "a b" },
    { command: ["a"], workingDirectory: "" },
    { command: ["a"], environment: { "1A": "" } },
    { command: ["a"], environment: { "A=B": "" } },
    { command: ["a"], environment: { A: 1 } },
    { command: ["a"], shell: true },
  ])("is refused as %o", (workload) => {
    expect(workloadSchema.safeParse(workload).success).toBe(false);
  });
});
