import type { ProbeRecord } from "@baton/protocol";
import type { ProbeResult } from "@baton/storage";
import { describe, expect, it } from "vitest";
import { storageManifest } from "../fixtures/records-bed.ts";
import { fitnessOf, mergeProbes } from "./verdict.ts";

const test = (name: string, passed = true, required = true) => ({ name, passed, required, detail: "seen" });
const [own, stale] = [
  "the application's key writes and reads below its prefix",
  "a write with a stale If-Match is refused",
];
const result = (tests: ProbeResult["tests"]): ProbeResult => ({
  testedAt: "2026-01-02T03:04:05.000Z",
  endpoints: ["http://a"],
  server: "s",
  clockSkewMs: 1,
  ifMatch: "quoted",
  tests,
});

describe("probes with several keys", () => {
  it("pass a test together, and the first that fails is named with its key", () => {
    const merged = mergeProbes([
      { cluster: null, result: result([test(stale, false), test(own)]) },
      { cluster: "a", result: result([test(stale, false), test(own)]) },
      { cluster: "b", result: result([test(stale), test(own, false)]) },
      { cluster: "c", result: result([test(stale), test(own, false)]) },
    ]);
    expect(merged.tests).toEqual([
      test(stale, false),
      { ...test(own, false), detail: "seen, with the data key of b" },
    ]);
  });
});

describe("whether a storage is fit", () => {
  const manifest = { ...storageManifest("silo"), ifMatch: "quoted" as const };
  const record = (tests: ProbeResult["tests"]): ProbeRecord => ({
    testedAt: "2026-01-02T03:04:05.000Z",
    thorough: false,
    verdict: mergeProbes([{ cluster: null, result: result(tests) }]),
    error: null,
  });

  it("is not known before the first probe", () => {
    expect(fitnessOf(manifest, null)).toEqual({ fitness: "unknown", reason: null });
  });

  it("is what every required test says, whatever the deviations are", () => {
    const deviation = test("older versions are kept", false, false);
    expect(fitnessOf(manifest, record([test(stale), deviation]))).toEqual({ fitness: "fit", reason: null });
    expect(fitnessOf(manifest, record([test(stale, false), deviation]))).toEqual({
      fitness: "unfit",
      reason: expect.stringMatching(
        /^cannot use storage "silo": not true that a write with a stale If-Match is refused/,
      ) as string,
    });
  });

  it("is not, where there is no verdict, or another form of If-Match than what agents were told", () => {
    const error = { code: "storage-unreachable", detail: "cannot reach it" };
    expect(fitnessOf(manifest, { ...record([]), verdict: null, error })).toEqual({
      fitness: "unfit",
      reason: "cannot reach it",
    });
    expect(fitnessOf({ ...manifest, ifMatch: "bare" }, record([test(stale)]))).toMatchObject({
      fitness: "unfit",
      reason: expect.stringContaining("wants ETags quoted in If-Match now, and wanted them bare") as string,
    });
  });
});
