import { describe, expect, it } from "vitest";
import * as v from "valibot";
import { hookSchema, longestStopMs, readinessSchema, verifySchema, workloadSchema } from "./hook.ts";
import { presetNames } from "./presets.ts";

describe("a hook", () => {
  it("is complete when it says nothing, and then never kills", () => {
    expect(v.parse(hookSchema, {})).toEqual({
      preset: "generic",
      drain: null,
      quiesce: null,
      signal: "SIGTERM",
      signalTo: "tree",
      graceMs: 10_000,
      escalation: [],
      killAllowed: false,
      gracefulExitCodes: [0],
      gracefulSignals: [],
      marker: null,
      dataDirectories: [],
      export: null,
      onRefused: "serve",
      onLeaseLost: "keep",
    });
  });

  it.each([
    { signal: "SIGINT", graceMs: 1, killAllowed: true, gracefulExitCodes: [0, 143, 255] },
    { graceMs: 3_600_000 },
    { drain: { delayMs: 5_000, maxConnections: 1, quietMs: 100, timeoutMs: 60_000 } },
    { quiesce: { command: ["save"], undo: ["resume"], timeoutMs: 1, onFailure: "continue" } },
    {
      escalation: [
        { signal: "SIGINT", graceMs: 5 },
        { signal: "SIGRTMIN+3", graceMs: 6 },
      ],
    },
    { marker: { file: "/data/clean" }, dataDirectories: ["/data"], onRefused: "hold", onLeaseLost: "stop" },
    { export: { command: ["upload"], timeoutMs: 5 } },
  ])("may say %o", (hook) => {
    expect(v.parse(hookSchema, hook)).toMatchObject(hook);
  });

  it.each([
    ["TERM", "SIGTERM"],
    ["15", "SIGTERM"],
    [15, "SIGTERM"],
    ["RTMIN+3", "SIGRTMIN+3"],
    [37, "SIGRTMIN+3"],
    ["SIGRTMAX", "SIGRTMIN+30"],
  ])("takes the signal %j as %s", (signal, name) => {
    expect(v.parse(hookSchema, { signal }).signal).toBe(name);
  });

  it.each(presetNames)("with preset %s never kills, and what is said beside it wins", (preset) => {
    expect(v.parse(hookSchema, { preset }).killAllowed).toBe(false);
    expect(v.parse(hookSchema, { preset, signal: "HUP", quiesce: null, graceMs: 5 })).toMatchObject({
      signal: "SIGHUP",
      quiesce: null,
      graceMs: 5,
    });
  });

  it.each(presetNames)("with preset %s comes back as it was written once it is complete", (preset) => {
    const complete = v.parse(hookSchema, { preset });
    expect(v.parse(hookSchema, JSON.parse(JSON.stringify(complete)))).toEqual(complete);
  });

  it.each([
    ["redis", { signal: "SIGTERM", signalTo: "main" }],
    ["postgres", { signal: "SIGINT", signalTo: "main" }],
    ["nginx", { signal: "SIGQUIT", signalTo: "main" }],
    ["jvm", { signal: "SIGTERM", gracefulExitCodes: [0, 143] }],
  ])("knows how %s wants to be stopped", (preset, facts) => {
    expect(v.parse(hookSchema, { preset })).toMatchObject(facts);
  });

  it("knows its longest time", () => {
    const hook = v.parse(hookSchema, {
      drain: { delayMs: 1, timeoutMs: 2 },
      quiesce: { command: ["a"], timeoutMs: 4 },
      graceMs: 8,
      escalation: [{ signal: "INT", graceMs: 16 }],
      export: { command: ["b"], timeoutMs: 32 },
    });
    expect(longestStopMs(hook)).toBe(63);
    expect(longestStopMs(v.parse(hookSchema, {}))).toBe(10_000);
  });

  it.each([
    { signal: "SIGKILL" },
    { signal: "STOP" },
    { signal: 9 },
    { signal: "CONT" },
    { signal: "SIGFOO" },
    { signal: 0 },
    { signal: 65 },
    { signal: "RTMIN+31" },
    { graceMs: 0 },
    { graceMs: 1.5 },
    { graceMs: "10s" },
    { graceMs: 3_600_001 },
    { killAllowed: "no" },
    { gracefulExitCodes: [] },
    { gracefulExitCodes: [256] },
    { gracefulExitCodes: [-1] },
    { gracefulExitCodes: 0 },
    { gracefulSignals: ["SIGKILL"] },
    { grace: 10 },
    { preset: "oracle" },
    { quiesce: { command: [] } },
    { quiesce: { command: [""] } },
    { drain: {} },
    { escalation: [{ signal: "KILL", graceMs: 1 }] },
    { marker: { file: "clean" } },
    { dataDirectories: ["data"] },
  ])("may not say %o", (hook) => {
    expect(v.is(hookSchema, hook)).toBe(false);
  });
});

describe.each([
  { what: "a readiness path", schema: readinessSchema },
  { what: "a verification path", schema: verifySchema },
])("$what", ({ schema }) => {
  it.each(["/", "/ready", "/a?b=c"])("may be %s", (path) => {
    expect(v.is(schema, { path })).toBe(true);
  });

  it.each(["", "ready", "http://example.org/", "/a b", "/a\n", undefined])("is refused as %j", (path) => {
    expect(v.is(schema, { path })).toBe(false);
  });
});

describe("a workload", () => {
  it.each([
    { command: ["a"] },
    { command: ["a", "b"], workingDirectory: "." },
    { command: ["a"], environment: { A_1: "", _b: "x" } },
  ])("may be %o", (workload) => {
    expect(v.parse(workloadSchema, workload)).toMatchObject(workload);
  });

  it.each([
    {},
    { command: [] },
    { command: ["", "a"] },
    { command: "a b" },
    { command: ["a"], workingDirectory: "" },
    { command: ["a"], environment: { "1A": "" } },
    { command: ["a"], environment: { "A=B": "" } },
    { command: ["a"], environment: { A: 1 } },
    { command: ["a"], shell: true },
  ])("is refused as %o", (workload) => {
    expect(v.is(workloadSchema, workload)).toBe(false);
  });
});
