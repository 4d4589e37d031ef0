import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import {
  checkLedger,
  findOverlaps,
  readLedgerFromStore,
  readRecordFile,
  startWriter,
} from "@baton/example-ledger";
import {
  type Harbour,
  type HarbourOptions,
  application,
  bucket,
  clusters,
  openHarbour,
  prefix,
  runOperation,
} from "@baton/example-ledger/demo";
import type { ApplicationManifest, Operation, Route } from "@baton/protocol";
import { type Traces, traceOf } from "./course.ts";
import { type PlacementTrace, readLeaseWrites, readPlacements } from "./receivers.ts";

const serveMs = 20_000;

/** One migration to the other cluster, as it was seen from outside. */
export interface Move {
  readonly operation: Operation;
  /** How often the orchestrator was killed during it. */
  readonly kills: number;
  readonly before: Route;
  readonly after: Route;
  readonly traces: Traces;
}

/** One ledger that moves back and forth between two clusters while a writer uses it. */
export interface Journey {
  readonly harbour: Harbour;
  /** Moves it with a planted fault, and waits until it serves wherever it is then. */
  move(fault: string, seen?: (operation: Operation, harbour: Harbour) => void): Promise<Move>;
  /** Until the writer got an answer from where the application serves now. @throws when none comes in 20 s. */
  served(): Promise<void>;
  /** Compares what was acknowledged so far with the bucket; for a ledger that acknowledges only what is in it. */
  inspect(): Promise<Arrival>;
  /** Ends the writer and compares everything that was acknowledged on the way with the bucket. */
  arrive(): Promise<Arrival>;
  /** The last lines of what the orchestrator said. */
  lastWords(): Promise<string>;
  close(): Promise<void>;
}

export interface JourneyOptions extends Pick<HarbourOptions, "pauseMs"> {
  /** What the writer sends. */
  readonly entriesPerSecond?: number | undefined;
}

export interface Arrival {
  readonly acknowledged: number;
  readonly lost: readonly string[];
  readonly duplicated: readonly string[];
  readonly overlapping: number;
  /** Keys of segments that the store took more than once. */
  readonly rewrittenSegments: readonly string[];
  /** Placements whose application saw more starts or other stops than its agent counted. */
  readonly miscounted: readonly string[];
}

/** @param changes what the ledger's manifest says otherwise. @param environment also for the orchestrator. */
export async function openJourney(
  changes: Partial<ApplicationManifest> = {},
  environment: Readonly<Record<string, string>> = {},
  { entriesPerSecond = 100, ...options }: JourneyOptions = {},
): Promise<Journey> {
  const harbour = await openHarbour({ ...options, changes, environment });
  try {
    return await begin(harbour, entriesPerSecond);
  } catch (error) {
    await harbour.close();
    throw error;
  }
}

async function begin(harbour: Harbour, entriesPerSecond: number): Promise<Journey> {
  const { client, directory } = harbour;
  const deployed = await runOperation(client, { kind: "deploy", application, to: clusters[0] });
  if (deployed.state !== "committed") throw new Error(`cannot deploy the ledger: ${String(deployed.reason)}`);
  const recordFile = join(directory, "acknowledged.jsonl");
  const writer = startWriter({
    route: async () => (await client.route(application)).url,
    recordFile,
    ratePerSecond: entriesPerSecond,
  });

  return {
    harbour,
    async move(fault, seen = () => undefined) {
      await harbour.restartOrchestrator({ fault });
      const [before, writesBefore, killsBefore] = [
        await client.route(application),
        await readLeaseWrites(harbour),
        harbour.kills(),
      ];
      const to = clusters.find((name) => name !== before.cluster) ?? clusters[0];
      const operation = await runOperation(client, { kind: "migrate", application, to }, (operation) =>
        seen(operation, harbour),
      );
      const after = await client.route(application);
      if (operation.state !== "halted") await untilServed(writer, recordFile, after);
      const placements = await readPlacements(harbour);
      const leases = await readLeaseWrites(harbour);
      const sides = {
        source: before.placement ?? "",
        target: operation.target ?? "",
        epochBefore: before.epoch,
      };
      const effects = placements
        .flatMap((placement) => placement.effects)
        .filter((effect) => effect.operation === operation.id);
      return {
        operation,
        kills: harbour.kills() - killsBefore,
        before,
        after,
        traces: traceOf(sides, effects, leases.slice(writesBefore.length)),
      };
    },
    async served() {
      await untilServed(writer, recordFile, await client.route(application));
    },
    inspect: () => inspect(harbour, recordFile),
    async arrive() {
      await writer.stop();
      const { url } = await client.route(application);
      await until("the last entries in the bucket", async () => {
        const { unflushed } = (await (await fetch(new URL("/stats", url ?? ""))).json()) as {
          unflushed: number;
        };
        return unflushed === 0;
      });
      return inspect(harbour, recordFile);
    },
    async lastWords() {
      const log = await readFile(join(directory, "orchestrator.log"), "utf8").catch(() => "");
      return log.split("\n").slice(-8).join("\n");
    },
    async close() {
      await writer.stop();
      await harbour.close();
    },
  };
}

/** Until the writer got an answer at this very address after now. */
async function untilServed(
  writer: { acknowledged(): number },
  recordFile: string,
  { url }: Route,
): Promise<void> {
  const before = (await readRecordFile(recordFile)).length;
  await until(`entries acknowledged at ${String(url)}`, async () => {
    if (writer.acknowledged() === before) return false;
    return (await readRecordFile(recordFile))
      .slice(before)
      .some(({ base }) => base === url?.replace(/\/+$/, ""));
  });
}

async function inspect(harbour: Harbour, recordFile: string): Promise<Arrival> {
  const placements = await readPlacements(harbour);
  const clusterOf = new Map(placements.map(({ placement, cluster }) => [placement, cluster]));
  const keyOf = (placement: string): string | undefined => {
    const cluster = clusterOf.get(placement);
    return cluster && harbour.keys[cluster].accessKeyId;
  };
  // Before the store: what is acknowledged meanwhile need not be in what was read of it.
  const acknowledgedIds = (await readRecordFile(recordFile)).map(({ id }) => id);
  const stored = await readLedgerFromStore({ directory: harbour.storeDirectory, bucket, prefix, keyOf });
  const keys = stored.commits.map(({ key }) => key).filter((key) => key.startsWith(`${prefix}segments/`));
  return {
    ...checkLedger({ acknowledgedIds, segments: stored.segments }),
    overlapping: findOverlaps({ ...stored, strict: true }).overlapping.length,
    rewrittenSegments: keys.filter((key, at) => keys.indexOf(key) !== at),
    miscounted: placements.filter(isMiscounted).map(({ placement }) => placement),
  };
}

function isMiscounted({ effects, applicationEvents }: PlacementTrace): boolean {
  const effectsOf = (name: string) => effects.filter(({ effect }) => effect === name).length;
  const eventsOf = (name: string) => applicationEvents.filter((event) => event === name).length;
  // An application that ends before it is ready says nothing.
  return effectsOf("signal") !== eventsOf("stopping") || effectsOf("exec") < eventsOf("ready");
}

async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  for (const deadline = performance.now() + serveMs; !(await condition()); await delay(20))
    if (performance.now() > deadline) throw new Error(`there were no ${what} in ${serveMs} ms`);
}
