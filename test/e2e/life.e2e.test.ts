/*
 * P1, P2, P3: an application is stopped, started, deleted and deployed again while it is written to; the orchestrator dies by SIGKILL in each step
 * once. Every operation ends, nothing is lost, and every effect is received exactly once (rule 20).
 */
import { deleteServing, start, stop } from "@baton/migration";
import { application, clusters, runOperation } from "@baton/example-ledger/demo";
import type { OperationRequest } from "@baton/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Journey, openJourney } from "./journey.ts";
import { readPlacements } from "./receivers.ts";

const openMs = 60_000;
const effectsOf = {
  deploy: ["exec"],
  migrate: ["exec", "receipt", "signal"],
  stop: ["receipt", "signal"],
  start: ["exec"],
  delete: ["receipt", "signal"],
} as const satisfies Record<OperationRequest["kind"], readonly string[]>;
type Kind = keyof typeof effectsOf;
const pivotOfDelete = deleteServing.steps.findIndex((step) => step.pivot);

let journey: Journey;
beforeAll(async () => {
  journey = await openJourney();
}, openMs);
afterAll(() => journey.close(), openMs);

async function run(kind: Kind, to: (typeof clusters)[number] = clusters[0]) {
  const { harbour } = journey;
  const request = kind === "deploy" || kind === "migrate" ? { kind, application, to } : { kind, application };
  const before = await harbour.client.route(application);
  const operation = await runOperation(harbour.client, request);
  const after = await harbour.client.route(application);
  const effects = (await readPlacements(harbour))
    .flatMap((placement) => placement.effects)
    .filter((effect) => effect.operation === operation.id)
    .map(({ effect }) => effect)
    .toSorted();
  return { operation, before, after, effects };
}

/** It ended as it was asked, with every effect once. */
async function runWell(kind: Kind, to?: (typeof clusters)[number]) {
  const ran = await run(kind, to);
  const { state, reason } = ran.operation;
  expect({ kind, state, reason }).toEqual({ kind, state: "committed", reason: null });
  expect(ran.effects).toEqual(effectsOf[kind]);
  return ran;
}

async function withFault(fault: string, work: () => Promise<void>): Promise<number> {
  const { harbour } = journey;
  await harbour.restartOrchestrator({ fault });
  const before = harbour.kills();
  await work();
  return harbour.kills() - before;
}

describe("the life of an application under load", () => {
  it("goes through stop, start, migrate, stop, delete and deploy", async () => {
    const stopped = await runWell("stop");
    expect(stopped.operation).toMatchObject({
      from: "harbor-a",
      to: null,
      target: null,
      receipt: { outcome: "graceful", evidenceClass: "proven" },
      possibleLoss: false,
    });
    expect(stopped.after).toEqual({ ...stopped.before, url: null });
    for (const kind of ["deploy", "migrate"] as const)
      await expect(run(kind, "harbor-b")).rejects.toMatchObject({ code: "application-stopped" });

    const started = await runWell("start");
    expect(started.after).toMatchObject({
      placement: stopped.before.placement,
      cluster: "harbor-a",
      epoch: stopped.before.epoch + 1,
    });
    expect((await runWell("migrate", "harbor-b")).after).toMatchObject({ cluster: "harbor-b" });
    await runWell("stop");

    const deleted = await run("delete");
    expect(deleted.operation).toMatchObject({ state: "committed", from: "harbor-b", to: null });
    // It was stopped before.
    expect(deleted.effects).toEqual([]);
    expect(deleted.after).toMatchObject({ url: null, placement: null, cluster: null });
    await expect(run("delete")).rejects.toMatchObject({ code: "not-deployed" });

    const again = await runWell("deploy");
    expect(again.after).toMatchObject({ cluster: "harbor-a", epoch: deleted.before.epoch + 1 });
    expect(again.after.placement).not.toBe(stopped.before.placement);
  });

  it.for([
    ["stop", "release"],
    ["start", "verify"],
    ["delete", "release"],
  ] as const)("%s is taken back where its %s fails", async ([kind, step]) => {
    if (kind === "start") await runWell("stop");
    await withFault(`fail@${kind}.${step}`, async () => {
      const { operation, before, after } = await run(kind);
      expect(operation.state).toBe("rolled-back");
      expect(operation.reason).toContain(`${step} failed`);
      if (kind === "start") expect(after).toEqual(before);
      else expect(after).toEqual({ ...before, epoch: before.epoch + 1 });
    });
    if (kind === "start") await runWell("start");
  });

  it.for(
    stop.steps.map(({ name }, at) => ({ stopStep: name, startStep: start.steps[at]?.name ?? "verify" })),
  )(
    "is stopped and started though the orchestrator is killed at $stopStep and at $startStep",
    async ({ stopStep, startStep }) => {
      expect(await withFault(`kill@stop.${stopStep}`, async () => void (await runWell("stop")))).toBe(1);
      expect(await withFault(`kill@start.${startStep}`, async () => void (await runWell("start")))).toBe(1);
    },
  );

  // What comes before is the stop's own, step by step.
  it.for(deleteServing.steps.slice(pivotOfDelete).map(({ name }) => name))(
    "is deleted, and deployed again, though the orchestrator is killed at %s",
    async (step) => {
      expect(await withFault(`kill@delete.${step}`, async () => void (await runWell("delete")))).toBe(1);
      await runWell("deploy");
    },
  );

  it("is deleted, stopped already, though the orchestrator is killed at the commit", async () => {
    await runWell("stop");
    const kills = await withFault("kill@delete.commit", async () => {
      const { operation, effects } = await run("delete");
      expect(operation.state).toBe("committed");
      expect(effects).toEqual([]);
    });
    expect(kills).toBe(1);
    await runWell("deploy");
  });

  it("has lost nothing after all of them", async () => {
    const { acknowledged, ...wrong } = await journey.arrive();
    expect(wrong).toEqual({
      lost: [],
      duplicated: [],
      overlapping: 0,
      rewrittenSegments: [],
      miscounted: [],
    });
    expect(acknowledged).toBeGreaterThan(500);
  });
});
