import type { StorageView } from "@baton/protocol";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RecordsBed, openRecordsBed } from "../fixtures/records-bed.ts";
import { readOperationMetrics } from "../records/operation-metrics.ts";
import { type MetricsSources, renderMetrics } from "./metrics.ts";

let bed: RecordsBed;
beforeAll(async () => {
  bed = await openRecordsBed();
});
afterAll(() => bed.end());

const storage = (name: string, fitness: StorageView["fitness"]) =>
  ({ manifest: { name }, fitness }) as StorageView;
const sources = (change: Partial<MetricsSources> = {}): MetricsSources => ({
  operations: () => readOperationMetrics(bed.database),
  storages: async () => [storage("a", "fit"), storage("b", "unfit"), storage("c", "unknown")],
  replica: () => ({ executor: "orchestrator-1", tenures: 2, takeovers: 3 }),
  ...change,
});

describe("the metrics", () => {
  it("say nothing of operations where there are none", async () => {
    const text = await renderMetrics(sources());
    expect(text).not.toContain("baton_operations");
    expect(text).not.toContain("baton_step_duration_seconds");
    expect(text).toContain("baton_database_up 1\n");
  });

  it("are counted in the records", async () => {
    const { application } = await bed.deployed();
    const { id } = await bed.insert({ kind: "migrate", application, to: "harbor-b" });
    await sql`update steps set ms = 700 where operation = ${id} and name = 'stop'`.execute(bed.database);
    await bed.operations.mark(id, {
      stopSentAt: "2026-01-01T00:00:00.000Z",
      readyAt: "2026-01-01T00:00:03.000Z",
    });
    expect(await renderMetrics(sources())).not.toContain("baton_downtime_seconds");
    await bed.operations.commit(id, 2);
    await bed.operations.end(id, { state: "committed" });
    await bed.insert({ kind: "deploy", application: await bed.declare(), to: "harbor-a" });

    const lines = (await renderMetrics(sources())).split("\n");
    expect(lines).toEqual(
      expect.arrayContaining([
        'baton_operations{kind="deploy",state="committed"} 1',
        'baton_operations{kind="deploy",state="open"} 1',
        'baton_operations{kind="migrate",state="committed"} 1',
        'baton_step_duration_seconds_bucket{kind="migrate",step="stop",le="0.5"} 0',
        'baton_step_duration_seconds_bucket{kind="migrate",step="stop",le="1"} 1',
        'baton_step_duration_seconds_bucket{kind="migrate",step="stop",le="+Inf"} 1',
        'baton_step_duration_seconds_sum{kind="migrate",step="stop"} 0.7',
        'baton_downtime_seconds_bucket{kind="migrate",le="2.5"} 0',
        'baton_downtime_seconds_bucket{kind="migrate",le="5"} 1',
        'baton_downtime_seconds_count{kind="migrate"} 1',
        'baton_storage_fit{storage="a"} 1',
        'baton_storage_fit{storage="b"} 0',
        'baton_replica_info{executor="orchestrator-1"} 1',
        "baton_replica_tenures_total 2",
        "baton_replica_takeovers_total 3",
      ]),
    );
    expect(lines.filter((line) => line.includes('storage="c"'))).toEqual([]);
    const oldest = lines.find((line) => line.startsWith('baton_oldest_operation_seconds{state="open"} '));
    expect(Number(oldest?.split(" ")[1])).toBeGreaterThan(0);
  });

  it("tell that the database is away, and what the replica knows without it", async () => {
    const text = await renderMetrics(sources({ operations: () => Promise.reject(new Error("hunter2")) }));
    expect(text).toContain("baton_database_up 0\n");
    expect(text).toContain("baton_replica_takeovers_total 3\n");
    expect(text).not.toContain("baton_operations");
    expect(text).not.toContain("hunter2");
  });
});
