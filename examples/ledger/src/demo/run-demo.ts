import { appendFile, readFile } from "node:fs/promises";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import type { Operation } from "@baton/protocol";
import { startWriter } from "../writer.ts";
import { type Harbour, application } from "./harbour.ts";
import { type NaiveMove, moveNaively } from "./naive-move.ts";
import { runOperation } from "./run-operation.ts";
import { type Verdict, downtime, inspectStore, judgeOperation } from "./verdict.ts";

const warmUpEntries = 800;
const afterwardsEntries = 400;
const waitMs = 30_000;

/** What the show is told while it happens. */
export interface Audience {
  say(line: string): void;
  operation(operation: Operation): void;
  acknowledged(count: number): void;
}

export interface Move {
  /** Without Baton. */
  readonly naive?: NaiveMove | undefined;
  /** The target is made only when the source has stopped. */
  readonly cold?: boolean | undefined;
}

/** The main job: deploy, keep writing, move, and compare what was acknowledged with what is in the bucket. */
export async function runDemo(
  harbour: Harbour,
  audience: Audience,
  { naive, cold = false }: Move = {},
): Promise<Verdict> {
  const { client } = harbour;
  audience.say("deploying ledger on harbor-a");
  const deployed = await runOperation(client, { kind: "deploy", application, to: "harbor-a" });
  if (deployed.state !== "committed") throw new Error(`cannot deploy ledger: ${String(deployed.reason)}`);

  const recordFile = join(harbour.directory, "acknowledged.jsonl");
  let byHand: string | undefined;
  const writer = startWriter({
    route: async () => byHand ?? (await client.route(application)).url,
    recordFile,
  });
  const watching = setInterval(() => audience.acknowledged(writer.acknowledged()), 100);
  try {
    audience.say("a writer sends entries all the time");
    await until("the writer's first entries", () => writer.acknowledged() >= warmUpEntries);
    if (naive !== undefined) {
      audience.say(
        naive === "kill-then-start"
          ? "moving ledger by hard kill, without Baton"
          : "starting ledger on harbor-b before it stopped on harbor-a, without Baton",
      );
      const route = await client.route(application);
      if (route.placement === null || route.url === null) throw new Error("ledger has no route");
      const secondRecord = join(harbour.directory, "acknowledged-by-the-second.jsonl");
      const moved = await moveNaively(harbour, {
        move: naive,
        placement: route.placement,
        sourceUrl: route.url,
        recordFile: secondRecord,
      });
      try {
        byHand = moved.url;
        await serveAWhile(writer);
        await writer.stop();
        await flushed(moved.url);
        await appendFile(recordFile, await readFile(secondRecord, "utf8").catch(() => ""));
        const seen = await inspectStore(harbour, recordFile, () => undefined, false);
        const { epoch } = route;
        return {
          outcome: "committed",
          entriesAcknowledged: seen.acknowledged,
          entriesUnflushedAtStop: moved.unflushedAtStop,
          entriesLost: seen.lost.length,
          entriesDuplicated: seen.duplicated.length,
          overlappingWriters: seen.overlapping,
          downtimeMs: downtime(
            seen.acknowledgements,
            new Date(moved.stopSentAt).toISOString(),
            new Date(moved.exitedAt).toISOString(),
          ),
          appStopMs: moved.stopMs,
          appStartMs: moved.startMs,
          steps: moved.steps,
          epochBefore: epoch,
          epochAfter: epoch,
          receipt: null,
          orchestratorKills: 0,
          reason: null,
        };
      } finally {
        await moved.child.stop();
      }
    }

    audience.say("migrating ledger to harbor-b");
    const operation = await runOperation(
      client,
      { kind: "migrate", application, to: "harbor-b", cold },
      (seen) => audience.operation(seen),
    );
    const route = await client.route(application);
    if (operation.state !== "halted") await serveAWhile(writer);
    await writer.stop();
    if (route.url !== null && operation.state !== "halted") await flushed(route.url);
    const keyOf = (placement: string) =>
      placement === operation.target
        ? harbour.keys["harbor-b"].accessKeyId
        : placement === operation.source
          ? harbour.keys["harbor-a"].accessKeyId
          : undefined;
    return await judgeOperation(harbour, { operation, recordFile, keyOf });
  } finally {
    clearInterval(watching);
    await writer.stop();
  }
}

async function serveAWhile(writer: { acknowledged(): number }): Promise<void> {
  const before = writer.acknowledged();
  await until(
    "entries acknowledged after the move",
    () => writer.acknowledged() >= before + afterwardsEntries,
  );
}

/** Until everything that the application acknowledged has reached the bucket, by its own timer. */
async function flushed(url: string): Promise<void> {
  await until("the last entries in the bucket", async () => {
    const stats = (await (await fetch(`${url}/stats`)).json()) as { unflushed: number };
    return stats.unflushed === 0;
  });
}

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  for (const deadline = performance.now() + waitMs; !(await condition()); await delay(20))
    if (performance.now() > deadline) throw new Error(`cannot go on: ${what} did not come in ${waitMs} ms`);
}
