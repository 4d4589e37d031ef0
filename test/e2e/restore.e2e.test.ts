/*
 * P1 to P4 with records that were restored from a backup while an operation was open: they are older than the world. The operation goes on and
 * nothing is lost, or it halts and says why; no second writer, no success that is none.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { application, clusters, runOperation } from "@baton/example-ledger/demo";
import type { Operation } from "@baton/protocol";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { type Journey, openJourney } from "./journey.ts";
import { type RecordsDatabase, openRecordsDatabase, recordsOptions } from "./records-database.ts";
import { paused } from "./replica.ts";

const openMs = 120_000;
/** BATON_RESTORE_CASES=all: every one; else one of each kind. */
const chosen = <Case>(cases: readonly Case[]): readonly Case[] =>
  process.env["BATON_RESTORE_CASES"] === "all" ? cases : cases.slice(0, 1);
const [from, to] = clusters;

describe("records that were restored while a migration was open", recordsOptions, () => {
  let directory: string;
  let records: RecordsDatabase;
  let count = 0;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "baton-restore-"));
    records = await openRecordsDatabase(directory);
  }, openMs);
  afterAll(async () => {
    await records.close();
    await rm(directory, { recursive: true });
  });

  /**
   * The backup is taken at `backup`; then two more lives of the orchestrator bring the operation to `world`, where the last one is killed, and
   * the next one starts on the restored records. Both are where a planted fault pauses the process.
   */
  async function restored(backup: string, world: string) {
    const name = `records_${(count += 1)}`;
    const url = await records.create(name);
    const journey = await openJourney({}, { BATON_DATABASE_URL: url });
    onTestFinished(() => journey.close());
    const { harbour } = journey;
    await harbour.restartOrchestrator({ fault: `pause@migrate.${backup}` });
    const { id } = await harbour.client.startOperation({ kind: "migrate", application, to });
    await paused(harbour.orchestratorPid());
    const file = await records.dump(url, name);
    await harbour.restartOrchestrator({ isKilled: true, fault: `pause@migrate.${world}` });
    await paused(harbour.orchestratorPid());
    const again = await records.create(`${name}_again`);
    await harbour.restartOrchestrator({
      isKilled: true,
      environment: { BATON_DATABASE_URL: again },
      meanwhile: () => records.restore(again, file),
    });
    return { journey, id };
  }

  const ended = async ({ harbour: { client } }: Journey, id: string): Promise<Operation> => {
    let last = await client.operation(id);
    for await (last of client.watchOperation(id, AbortSignal.timeout(60_000)));
    return last;
  };
  const expectNothingLost = async (journey: Journey): Promise<void> => {
    const { acknowledged, ...wrong } = await journey.arrive();
    expect(acknowledged).toBeGreaterThan(0);
    expect(wrong).toEqual({
      lost: [],
      duplicated: [],
      overlapping: 0,
      rewrittenSegments: [],
      miscounted: [],
    });
  };

  it.for(
    chosen([
      // The agent has seen terms that the records do not know, and has done what they do not know of.
      { backup: "prepare:after", world: "handOver:before" },
      { backup: "handOver:before", world: "verify:before" },
      { backup: "stop:before", world: "fence:before" },
      { backup: "start:after", world: "commit:before" },
    ]),
  )(
    "from before $backup go on to the end, with the world at $world",
    { timeout: openMs },
    async ({ backup, world }) => {
      const { journey, id } = await restored(backup, world);
      expect(await ended(journey, id)).toMatchObject({ state: "committed", possibleLoss: false });
      expect(await journey.harbour.client.route(application)).toMatchObject({ cluster: to, epoch: 2 });
      await expectNothingLost(journey);
    },
  );

  it.for(
    chosen([
      // Its clients write to the target since.
      { world: "retire:after" },
      { world: "verify:before" },
    ]),
  )(
    "that are older than the lease halt it, touch nothing, and follow the lease once a person says so: $world",
    { timeout: openMs },
    async ({ world }) => {
      const { journey, id } = await restored("stop:before", world);
      const { client } = journey.harbour;
      const halted = await ended(journey, id);
      expect(halted).toMatchObject({ state: "halted" });
      expect(halted.reason).toContain(
        "the records know only 1: they are older than the lease; nothing was touched",
      );
      expect(await client.route(application)).toMatchObject({ cluster: from, epoch: 1 });

      await client.decide(id, { kind: "resume", reason: "restored from the backup" });
      expect(await ended(journey, id)).toMatchObject({ state: "committed", epochAfter: 2 });
      expect(await client.route(application)).toMatchObject({ cluster: to, epoch: 2 });
      expect(await runOperation(client, { kind: "migrate", application, to: from })).toMatchObject({
        state: "committed",
        epochAfter: 3,
      });
      await expectNothingLost(journey);
    },
  );
});
