/* P1 to P4 where a person decides: real orchestrator, agents and ledger. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Harbour, application, clusters, runOperation } from "@baton/example-ledger/demo";
import { type ApplicationManifest, type Operation, hookSchema, parseAs } from "@baton/protocol";
import { expect, it, onTestFinished } from "vitest";
import { type Journey, openJourney } from "./journey.ts";

const [from, to] = clusters;
const migrate = { kind: "migrate", application, to } as const;

async function open(changes: Partial<ApplicationManifest>): Promise<Journey> {
  const journey = await openJourney(changes);
  onTestFinished(() => journey.close());
  return journey;
}

/** A file that a command of the manifest asks for. */
async function openFlag() {
  const directory = await mkdtemp(join(tmpdir(), "baton-flag-"));
  onTestFinished(() => rm(directory, { recursive: true }));
  const file = join(directory, "flag");
  return {
    command: ["test", "-e", file],
    raise: () => writeFile(file, ""),
    lower: () => rm(file),
  };
}

const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => "accepted",
    (error: unknown) => (error as { code: unknown }).code,
  );

/** Follows the operation until `until` holds, or it has ended. */
async function follow(
  { client }: Harbour,
  id: string,
  until: (operation: Operation) => boolean = () => false,
): Promise<Operation> {
  let last = await client.operation(id);
  for await (last of client.watchOperation(id, AbortSignal.timeout(60_000))) if (until(last)) break;
  return last;
}

async function expectNothingLost(journey: Journey): Promise<void> {
  const { acknowledged, ...wrong } = await journey.arrive();
  expect(acknowledged).toBeGreaterThan(0);
  expect(wrong).toEqual({ lost: [], duplicated: [], overlapping: 0, rewrittenSegments: [], miscounted: [] });
}

it("halts over a stop that is refused, explains itself, and is taken back or resumed by a person whose name stays", async () => {
  const flag = await openFlag();
  const hook = parseAs(hookSchema, { graceMs: 10_000, quiesce: { command: flag.command } }, "the hook");
  const journey = await open({ hook, stop: { strategy: "halt", attempts: 2, pauseMs: 100 } });
  const { client } = journey.harbour;
  const halted = await runOperation(client, migrate);
  expect(halted).toMatchObject({ state: "halted", course: "forward", strategy: "halt" });
  expect(halted.reason).toContain("the application still runs");

  const told = await client.explain(halted.id);
  expect(told).toMatchObject({ state: "halted", waitsFor: "a person's decision", until: null, trouble: [] });
  expect(told.actions.map(({ command }) => command.split(" ")[2])).toEqual(["resume", "abort", "override"]);
  expect(told.places).toMatchObject([
    { part: "source", cluster: from, witness: "running", agent: { state: "running" } },
    { part: "target", cluster: to, witness: "terminated", agent: { state: "held" } },
  ]);
  expect(await codeOf(client.startOperation(migrate))).toBe("operation-halted");

  // What is known cannot be answered for: it is asked once more, and halts again.
  await client.decide(halted.id, { kind: "override", reason: "I think that it is down" });
  expect(await follow(journey.harbour, halted.id)).toMatchObject({ state: "halted" });
  await client.decide(halted.id, { kind: "abort", reason: "not today" });
  const ended = await follow(journey.harbour, halted.id);
  expect(ended).toMatchObject({ state: "rolled-back", course: null });
  expect(ended.decisions.map(({ kind, by, reason }) => [kind, by, reason])).toEqual([
    ["override", "bootstrap", "I think that it is down"],
    ["abort", "bootstrap", "not today"],
  ]);
  expect(await client.route(application)).toMatchObject({ cluster: from, epoch: 1 });

  const again = await runOperation(client, migrate);
  expect(again).toMatchObject({ state: "halted" });
  await journey.harbour.restartOrchestrator({});
  await flag.raise();
  await client.decide(again.id, { kind: "resume", reason: "it may stop now" });
  expect(await codeOf(client.decide(again.id, { kind: "abort", reason: "or not" }))).toMatch(
    /not-halted|past-pivot/,
  );
  expect(await follow(journey.harbour, again.id)).toMatchObject({ state: "committed", possibleLoss: false });
  expect(await client.route(application)).toMatchObject({ cluster: to });
  await expectNothingLost(journey);
}, 240_000);

it("is aborted while it soaks, by an orchestrator that was away meanwhile", async () => {
  const verify = { method: "POST", path: "/canary", timeoutMs: 10_000, soakMs: 15_000 } as const;
  const journey = await open({ verify });
  const { client } = journey.harbour;
  const { id } = await client.startOperation(migrate);
  const soaking = await follow(journey.harbour, id, ({ steps }) =>
    steps.some(({ name, state }) => name === "verify" && state === "running"),
  );
  expect(soaking.ledger.stopSentAt).not.toBeNull();
  await journey.harbour.restartOrchestrator({});
  await client.decide(id, { kind: "abort", reason: "the wrong cluster" });
  const ended = await follow(journey.harbour, id);
  expect(ended).toMatchObject({ state: "rolled-back" });
  expect(ended.reason).toContain("bootstrap had it taken back: the wrong cluster");
  expect(await client.route(application)).toMatchObject({ cluster: from, epoch: 3 });
  expect(await codeOf(client.decide(id, { kind: "abort", reason: "again" }))).toBe("not-halted");
  expect(await client.receipts(id)).not.toEqual([]);
  await expectNothingLost(journey);
}, 240_000);

it("rolls back where a command of the user's finds the target wanting, and commits, cold, where it finds it good", async () => {
  const flag = await openFlag();
  await flag.raise();
  const commands = [{ command: flag.command, timeoutMs: 5_000 }];
  const journey = await open({ verify: { method: "POST", path: "/canary", timeoutMs: 10_000, commands } });
  const { client } = journey.harbour;
  await flag.lower();
  const refused = await runOperation(client, migrate);
  expect(refused).toMatchObject({ state: "rolled-back" });
  expect(refused.reason).toContain('cannot verify the target: "test -e');
  expect(await client.route(application)).toMatchObject({ cluster: from });

  await flag.raise();
  const moved = await runOperation(client, { ...migrate, cold: true });
  expect(moved).toMatchObject({ state: "committed", cold: true });
  expect(moved.steps.map(({ name }) => name).indexOf("prepare")).toBe(3);
  expect(moved.ledger.firstWriteAt).not.toBeNull();
  await expectNothingLost(journey);
}, 240_000);
