/* P1 to P4 while the orchestrator is upgraded in the middle of an operation: it ends by the table of steps that it began with. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type Harbour, application, clusters, runOperation } from "@baton/example-ledger/demo";
import type { ApplicationManifest, Operation } from "@baton/protocol";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { type Journey, openJourney } from "./journey.ts";
import { type RecordsDatabase, openRecordsDatabase, recordsOptions } from "./records-database.ts";
import { startReplica } from "./replica.ts";

const openMs = 120_000;
/** Longer than any takeover takes. */
const takeoverMs = 4_000;
const [from, to] = clusters;
const newer = {
  NODE_OPTIONS: `--import ${fileURLToPath(import.meta.resolve("./fixtures/newer-tables.ts"))}`,
};

const namesOf = ({ steps }: Operation) => steps.map(({ name }) => name);
const follow = async (
  { client }: Harbour,
  id: string,
  until: (operation: Operation) => boolean = () => false,
): Promise<Operation> => {
  let last = await client.operation(id);
  for await (last of client.watchOperation(id, AbortSignal.timeout(60_000))) if (until(last)) break;
  return last;
};

async function expectNothingLost(journey: Journey): Promise<void> {
  const { acknowledged, ...wrong } = await journey.arrive();
  expect(acknowledged).toBeGreaterThan(0);
  expect(wrong).toEqual({ lost: [], duplicated: [], overlapping: 0, rewrittenSegments: [], miscounted: [] });
}

describe("an upgrade in the middle of a migration", recordsOptions, () => {
  let directory: string;
  let records: RecordsDatabase;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "baton-upgrade-"));
    records = await openRecordsDatabase(directory);
  }, openMs);
  afterAll(async () => {
    await records.close();
    await rm(directory, { recursive: true });
  });
  const open = async (name: string, changes: Partial<ApplicationManifest> = {}) => {
    const databaseUrl = await records.create(name);
    const journey = await openJourney(changes, { BATON_DATABASE_URL: databaseUrl });
    onTestFinished(() => journey.close());
    return { journey, databaseUrl };
  };

  it(
    "is joined by the newer version, which ends what the older one began by its table, and begins by its own",
    async () => {
      const verify = { method: "POST", path: "/canary", timeoutMs: 10_000, soakMs: 8_000 } as const;
      const { journey, databaseUrl } = await open("upgraded", { verify });
      const { harbour } = journey;
      const joined = await startReplica(harbour, { name: "newer", databaseUrl, environment: newer });
      const { id } = await harbour.client.startOperation({ kind: "migrate", application, to });
      await follow(harbour, id, ({ steps }) =>
        steps.some(({ name, state }) => name === "verify" && state === "running"),
      );
      await harbour.restartOrchestrator({
        environment: { BATON_DATABASE_URL: databaseUrl, ...newer },
        async meanwhile() {
          expect(await joined.client.operation(id)).toMatchObject({ state: "open", endedAt: null });
        },
      });
      const ended = await follow(harbour, id);
      expect(ended).toMatchObject({ state: "committed", possibleLoss: false });
      expect(namesOf(ended)).not.toContain("lookAgain");

      const next = await runOperation(harbour.client, { kind: "migrate", application, to: from });
      expect(next).toMatchObject({ state: "committed" });
      expect(namesOf(next)).toContain("lookAgain");
      await expectNothingLost(journey);
    },
    openMs,
  );

  it(
    "leaves an operation of the newer version alone where only the older one lives, and says so",
    async () => {
      const { journey, databaseUrl } = await open("left_alone");
      const { harbour } = journey;
      const { client } = harbour;
      const first = await startReplica(harbour, {
        name: "newer",
        databaseUrl,
        environment: { ...newer, BATON_FAULT: "pause@migrate.stop:before" },
      });
      const { id } = await first.client.startOperation({ kind: "migrate", application, to });
      await first.paused();
      await first.kill();
      const before = await client.operation(id);
      await delay(takeoverMs);
      expect(await client.operation(id)).toEqual(before);
      expect(await readFile(join(harbour.directory, "orchestrator.log"), "utf8")).toContain(
        "the operation is left alone: its steps are migrate@2, which this version does not know; start a version that knows them",
      );
      await expect(client.explain(id)).rejects.toMatchObject({ code: "saga-unknown" });
      await expect(client.startOperation({ kind: "stop", application })).rejects.toMatchObject({
        code: "operation-open",
      });

      await startReplica(harbour, { name: "newer-again", databaseUrl, environment: newer });
      expect(await follow(harbour, id)).toMatchObject({ state: "committed", possibleLoss: false });
      await expectNothingLost(journey);
    },
    openMs,
  );
});
