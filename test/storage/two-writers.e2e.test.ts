/**
 * P1 at the store: a source that is caught in the middle of its writes, and goes on after the target's first one, changes nothing
 * any more. By hand with TWO_WRITERS=500 for so many random moments on each store, and what they were.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { useRunBed } from "../agent/run-bed.ts";
import { type FoundStore, type StoreBed, bedMs, ceph, minio } from "./store-bed.ts";
import { type Handover, type Outcome, openTwoWriters } from "./two-writers.ts";

const byHand = process.env["TWO_WRITERS"];
const points = Number(byHand ?? "4");
const atOnce = Number(process.env["TWO_WRITERS_AT_ONCE"] ?? "50");
const rounds = Array.from({ length: Math.ceil(points / atOnce) }, (_, n) =>
  Math.min(atOnce, points - n * atOnce),
);

suite("Ceph", ceph);
suite("MinIO", minio);

function suite(name: string, found: FoundStore): void {
  const options = { skip: found.missing !== null, meta: found.meta, timeout: 600_000 };
  describe(`two writers on ${name}`, options, () => {
    const run = useRunBed();
    let bed: StoreBed;
    let two: Awaited<ReturnType<typeof openTwoWriters>>;
    beforeAll(async () => {
      bed = await found.open();
      two = await openTwoWriters(bed, (params) => run.run(params));
    }, bedMs);
    afterAll(async () => {
      two.close();
      await bed.close();
    }, bedMs);

    const handOver = async (count: number, handover: Handover): Promise<readonly Outcome[]> => {
      const all = Array.from({ length: count }, () => two.handOver(handover));
      const results = await Promise.allSettled(all);
      const outcomes = results.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
      if (byHand !== undefined) console.log(`${bed.name}, ${handover.source}: ${inWords(outcomes)}`);
      const failed = results.flatMap((each) => (each.status === "rejected" ? [String(each.reason)] : []));
      if (failed.length > 0)
        throw new Error(`not carried out: ${failed.length} of ${count}: ${failed.join("; ")}`);
      return outcomes;
    };
    const staleIn = (outcomes: readonly Outcome[]): readonly string[] =>
      outcomes.flatMap(({ stale }) => stale);

    it.each(rounds.map((count, n) => ({ count, n: n + 1 })))(
      "a source that goes on writes nothing after the target: stopped, cut off, killed with bytes under way, round $n",
      async ({ count }) => {
        const fence = { settleMs: bed.settleMs, doors: "all" } as const;
        const few = Math.ceil(count / 4);
        const outcomes = await Promise.all([
          handOver(count, { source: "stopped", at: "any moment", fence }),
          handOver(few, { source: "cut", at: "any moment", fence }),
          handOver(few, { source: "killed", at: "any moment", fence }),
        ]);
        expect(staleIn(outcomes.flat())).toEqual([]);
      },
    );

    describe("seen to write where the fence is broken", () => {
      const count = 6;

      it.each(["stopped", "cut", "killed"] as const)("without settling, %s", async (source) => {
        const fence = { settleMs: 0, doors: "all" } as const;
        expect(staleIn(await handOver(count, { source, at: "a body", fence }))).not.toEqual([]);
      });

      it("none", async () => {
        const outcomes = await handOver(count, { source: "stopped", at: "a body", fence: null });
        expect(outcomes.filter(({ stale }) => stale.length === 0)).toEqual([]);
      });

      it("one endpoint is asked, and the other still lets the old key in", async () => {
        const fence = { settleMs: 0, doors: "first only" } as const;
        const handover = { source: "stopped", at: "a body", lagging: true, fence } as const;
        const outcomes = await handOver(count, handover);
        expect(outcomes.filter(({ stale }) => stale.length === 0)).toEqual([]);
      });
    });

    it("an endpoint that still lets the old key in is noticed, and the target does not begin", async () => {
      const fence = { settleMs: 0, doors: "all" } as const;
      const handover = { source: "stopped", at: "a body", lagging: true, fence } as const;
      await expect(two.handOver(handover)).rejects.toMatchObject({ code: "fence-unproven" });
    });
  });
}

function inWords(outcomes: readonly Outcome[]): string {
  const requests = outcomes.flatMap(({ caught }) => caught);
  const moments = Object.entries(Object.groupBy(requests, (moment) => moment));
  const caught = moments.map(([moment, found]) => `${found.length} ${moment}`).join(", ");
  const stale = outcomes.filter((each) => each.stale.length > 0).length;
  return `${outcomes.length} moments (requests: ${caught}), ${stale} of them with stale writes`;
}
