import type { ProbeVerdict } from "@baton/protocol";
import { sql } from "kysely";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type RecordsBed, openRecordsBed } from "../fixtures/records-bed.ts";
import { type ProbeTable, ProbeRecords } from "./probe-records.ts";

const verdict: ProbeVerdict = {
  endpoints: ["http://127.0.0.1:9"],
  server: null,
  clockSkewMs: 12,
  ifMatch: "bare",
  tests: [{ name: "a test", passed: true, required: true, detail: "stored" }],
};
const failure = { code: "storage-unreachable", detail: "cannot reach it" };
const of = { storage: "silo", subject: "as it is" };
let bed: RecordsBed;
let records: ProbeRecords;
beforeAll(async () => {
  bed = await openRecordsBed();
  records = new ProbeRecords(bed.database);
});
afterAll(() => bed.end());
beforeEach(async () => {
  await bed.database.withTables<ProbeTable>().deleteFrom("probes").execute();
});

describe("a probe", () => {
  it("is shown by the newest of the same storage and manifest", async () => {
    expect(await records.probe(of)).toBeNull();
    await records.addProbe({ ...of, thorough: true }, verdict);
    await records.addProbe({ ...of, thorough: false, subject: "as it was" }, failure);
    await records.addProbe({ ...of, thorough: false, storage: "other" }, failure);
    expect(await records.probe(of)).toEqual({
      testedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/) as string,
      thorough: true,
      verdict,
      error: null,
    });
    await records.addProbe({ ...of, thorough: false }, failure);
    expect(await records.probe(of)).toMatchObject({ thorough: false, verdict: null, error: failure });
  });

  it("is kept among the newest 50 of its storage and kind", async () => {
    await records.addInFlight(of, [{ endpoint: "a", ms: 5, ended: "closed" }]);
    await records.addProbe({ ...of, thorough: false, storage: "other" }, verdict);
    for (let n = 0; n < 53; n += 1) await records.addProbe({ ...of, thorough: n === 3 }, failure);
    const rows = await bed.database
      .withTables<ProbeTable>()
      .selectFrom("probes")
      .select(["storage", "kind", "thorough"])
      .execute();
    const counts = Map.groupBy(rows, ({ storage, kind }) => `${storage} ${kind}`);
    expect([...counts].map(([name, { length }]) => [name, length])).toEqual([
      ["silo in-flight", 1],
      ["other probe", 1],
      ["silo probe", 50],
    ]);
    // The three oldest went, not others.
    expect(rows.filter(({ thorough }) => thorough)).toHaveLength(1);
  });
});

describe("an in-flight bound", () => {
  it("is the longest of its endpoints, and none where one has none", async () => {
    const endpoint = (name: string, ms: number | null) => ({ endpoint: name, ms, ended: "closed" });
    await records.addInFlight(of, [endpoint("a", 30), endpoint("b", 70.5)]);
    expect(await records.inFlight(of)).toMatchObject({ ms: 70.5, error: null });
    await records.addInFlight(of, [endpoint("a", 30), endpoint("b", null), endpoint("c", 90)]);
    expect(await records.inFlight(of)).toMatchObject({
      ms: null,
      endpoints: [{ ms: 30 }, { ms: null }, { ms: 90 }],
    });
    await records.addInFlight(of, failure);
    expect(await records.inFlight(of)).toMatchObject({ ms: null, endpoints: [], error: failure });
  });
});

describe("a next look", () => {
  const hour = 3_600_000;
  const every = { everyMs: 24 * hour, retryMs: hour };
  const age = async (hours: number): Promise<void> => {
    const at = sql<Date>`now() - ${hours}::float8 * interval '1 hour'`;
    await bed.database.withTables<ProbeTable>().updateTable("probes").set({ tested_at: at }).execute();
  };

  it("is due before the first, when the newest is too old, and sooner where it came to no verdict", async () => {
    expect(await records.isDue("probe", of, every)).toBe(true);
    await records.addProbe({ ...of, thorough: true }, verdict);
    expect(await records.isDue("probe", of, every)).toBe(false);
    expect(await records.isDue("in-flight", of, every)).toBe(true);
    expect(await records.isDue("probe", { ...of, subject: "another" }, every)).toBe(true);
    await records.addInFlight(of, failure);
    expect(await records.isDue("in-flight", of, every)).toBe(false);
    await age(23);
    expect(await records.isDue("probe", of, every)).toBe(false);
    await age(25);
    expect(await records.isDue("probe", of, every)).toBe(true);
    await records.addProbe({ ...of, thorough: true }, failure);
    expect(await records.isDue("probe", of, every)).toBe(false);
    await age(2);
    expect(await records.isDue("probe", of, every)).toBe(true);
  });

  it("is not put off by a probe that was not thorough, as a preflight's is", async () => {
    await records.addProbe({ ...of, thorough: true }, verdict);
    await age(25);
    await records.addProbe({ ...of, thorough: false }, verdict);
    expect(await records.isDue("probe", of, every)).toBe(true);
  });

  it("is due where the newest is of a time that has not come: the clock was set back", async () => {
    await records.addProbe({ ...of, thorough: true }, verdict);
    await age(-1);
    expect(await records.isDue("probe", of, every)).toBe(true);
  });
});
