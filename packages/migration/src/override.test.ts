import type { Decision } from "@baton/protocol";
import { expect, it } from "vitest";
import { createFakeWorld, input } from "./fakes/fake-world.ts";
import { at, expectPromises, runInWorld } from "./fakes/saga.testsuite.ts";
import { decisionTopic } from "./halt.ts";
import { migrate, migrateCold } from "./migrate.saga.ts";
import { noFaults } from "./progress.port.ts";

/* Whoever overrides answers for what nobody can see, at the moment when he looked, and for nothing else (P2). */

const override: Decision = {
  kind: "override",
  reason: "the rack burned",
  by: "ada",
  at: "2026-01-01T00:00:00.000Z",
};

/** A migration whose source lost power before it was asked to stop, halted, and answered for. */
async function answeredFor(saga: typeof migrate | typeof migrateCold) {
  const world = createFakeWorld();
  await world.serveOnSource();
  const losesPower = at({ step: "stop", phase: "do", moment: "before" }, () => world.source.losePower());
  const params = { saga, world, openPorts: () => world.ports, input };
  const { end } = await runInWorld({ ...params, faults: losesPower });
  expect(end).toMatchObject({ state: "halted" });
  world.journal.messages.set(decisionTopic(1), override);
  return { world, params };
}

it.each([migrate, migrateCold])(
  "does not pass on a source that started again in its slot after that: $name",
  async (saga) => {
    const { world, params } = await answeredFor(saga);
    const comesBack = at({ step: "fence", phase: "do", moment: "after" }, () => world.source.restart());
    const { end } = await runInWorld({ ...params, faults: comesBack });
    expect(end).toMatchObject({ state: "rolled-back", reason: { code: "lease-mismatch" } });
    expectPromises(world, end);
  },
);

it("does not pass on a run that the lease did not name yet when the fence began", async () => {
  const { world, params } = await answeredFor(migrate);
  const lease = { ...world.ports.lease };
  world.ports.lease.read = async (...args) => {
    const view = await lease.read(...args);
    return view && { ...view, lease: { ...view.lease, run: null } };
  };
  const comesBack = at({ step: "fence", phase: "do", moment: "after" }, async () => {
    Object.assign(world.ports.lease, lease);
    await world.source.restart();
  });
  const { end } = await runInWorld({ ...params, faults: comesBack });
  expect(end).toMatchObject({ state: "rolled-back", reason: { code: "lease-mismatch" } });
  expectPromises(world, end);
});

it("does not pass on what the cluster sees running", async () => {
  const { world, params } = await answeredFor(migrate);
  await world.source.restart();
  const { end } = await runInWorld({ ...params, faults: noFaults });
  expect(end).toMatchObject({ state: "rolled-back", reason: { code: "handover-refused" } });
  expectPromises(world, end);
});

it("leaves halted what came back and knows of no run: nobody can say what became of it", async () => {
  const { world, params } = await answeredFor(migrate);
  const forgets = at({ step: "fence", phase: "do", moment: "after" }, async () => {
    await world.source.restart();
    Object.assign(world.source, { run: null, state: "held" });
  });
  const { end } = await runInWorld({ ...params, faults: forgets });
  expect(end).toMatchObject({ state: "halted", reason: { code: "stop-unknown" } });
});

it("passes on a source that stays away", async () => {
  const { world, params } = await answeredFor(migrate);
  const { end } = await runInWorld({ ...params, faults: noFaults });
  expect(end).toEqual({ state: "committed" });
  expect(world.records).toMatchObject({ possibleLoss: true });
});
