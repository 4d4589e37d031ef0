/* P1 to P4 where a person decides: real orchestrator, agents and ledger. */
import { type Harbour, application, clusters, runOperation } from "@baton/example-ledger/demo";
import { type ApplicationManifest, type Operation, hookSchema, parseAs } from "@baton/protocol";
import { expect, it, onTestFinished } from "vitest";
import { type Journey, openJourney } from "./journey.ts";

const [from, to] = clusters;
const fine = { lost: [], duplicated: [], overlapping: 0, rewrittenSegments: [], miscounted: [] };

async function open(changes: Partial<ApplicationManifest>): Promise<Journey> {
  const journey = await openJourney(changes);
  onTestFinished(() => journey.close());
  return journey;
}

const code = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => "accepted",
    (error: unknown) => (error as { code: unknown }).code,
  );

/** Follows the operation on until `until` holds, or it has ended. */
async function follow(
  { client }: Harbour,
  id: string,
  until: (operation: Operation) => boolean = () => false,
): Promise<Operation> {
  let last = await client.operation(id);
  for await (last of client.watchOperation(id, AbortSignal.timeout(60_000))) if (until(last)) break;
  return last;
}

it("halts over a stop that is refused, explains itself, and is taken back by a named person; the source serves on", async () => {
  // No Node program minds this signal.
  const hook = parseAs(hookSchema, { signal: "SIGWINCH", graceMs: 300 }, "the hook");
  const journey = await open({ hook, stop: { strategy: "halt", attempts: 2, pauseMs: 100 } });
  const { client } = journey.harbour;
  const halted = await runOperation(client, { kind: "migrate", application, to });
  expect(halted).toMatchObject({ state: "halted", course: "forward", strategy: "halt" });
  expect(halted.reason).toContain("the application still runs");

  const told = await client.explain(halted.id);
  expect(told).toMatchObject({ state: "halted", waitsFor: "a person's decision", until: null, trouble: [] });
  expect(told.actions.map(({ command }) => command.split(" ")[2])).toEqual(["resume", "abort", "override"]);
  expect(told.places).toMatchObject([
    { part: "source", cluster: from, witness: "running", agent: { state: "running" } },
    { part: "target", cluster: to, witness: "terminated", agent: { state: "held" } },
  ]);
  expect(await code(client.startOperation({ kind: "migrate", application, to }))).toBe("operation-halted");

  // What is known cannot be answered for: it is asked once more, and halts again.
  await client.decide(halted.id, { kind: "override", reason: "I think that it is down" });
  expect(await follow(journey.harbour, halted.id)).toMatchObject({ state: "halted" });
  await client.decide(halted.id, { kind: "abort", reason: "not today" });
  expect(await code(client.decide(halted.id, { kind: "resume", reason: "or is it" }))).toBe("not-halted");
  const ended = await follow(journey.harbour, halted.id);
  expect(ended).toMatchObject({ state: "rolled-back", course: null });
  expect(ended.decisions.map(({ kind, by, reason }) => [kind, by, reason])).toEqual([
    ["override", "bootstrap", "I think that it is down"],
    ["abort", "bootstrap", "not today"],
  ]);
  expect(await client.route(application)).toMatchObject({ cluster: from });
  const { acknowledged, ...wrong } = await journey.arrive();
  expect(acknowledged).toBeGreaterThan(0);
  expect(wrong).toEqual(fine);
}, 240_000);

it("is aborted while it soaks, also by an orchestrator that was killed and is there again, and never past its pivot", async () => {
  const verify = { method: "POST", path: "/canary", timeoutMs: 10_000, soakMs: 60_000 } as const;
  const journey = await open({ verify });
  const { client } = journey.harbour;
  const started = await client.startOperation({ kind: "migrate", application, to });
  const soaking = await follow(journey.harbour, started.id, ({ steps }) =>
    steps.some(({ name, state }) => name === "verify" && state === "running"),
  );
  expect(soaking.ledger.stopSentAt).not.toBeNull();
  await journey.harbour.restartOrchestrator({});
  await client.decide(started.id, { kind: "abort", reason: "the wrong cluster" });
  const ended = await follow(journey.harbour, started.id);
  expect(ended).toMatchObject({ state: "rolled-back" });
  expect(ended.reason).toContain("bootstrap had it taken back: the wrong cluster");
  expect(await client.route(application)).toMatchObject({ cluster: from, epoch: 3 });
  expect(await code(client.decide(started.id, { kind: "abort", reason: "again" }))).toBe("not-halted");

  const receipts = await client.receipts(started.id);
  expect(receipts.length).toBeGreaterThan(0);
  const { acknowledged, ...wrong } = await journey.arrive();
  expect(acknowledged).toBeGreaterThan(0);
  expect(wrong).toEqual(fine);
}, 240_000);

it("rolls back where a command of the user's finds the target wanting, and commits where it finds it good", async () => {
  const command = ["sh", "-c", 'test "$MOOD" = good'];
  const commands = [{ command, timeoutMs: 5_000 }];
  const verify = { method: "POST", path: "/canary", timeoutMs: 10_000, commands } as const;
  const journey = await open({ verify });
  const { client } = journey.harbour;
  const refused = await runOperation(client, { kind: "migrate", application, to });
  expect(refused).toMatchObject({ state: "rolled-back" });
  expect(refused.reason).toContain('cannot verify the target: "sh -c');
  expect(await client.route(application)).toMatchObject({ cluster: from });
  const { acknowledged, ...wrong } = await journey.arrive();
  expect(acknowledged).toBeGreaterThan(0);
  expect(wrong).toEqual(fine);
}, 240_000);
