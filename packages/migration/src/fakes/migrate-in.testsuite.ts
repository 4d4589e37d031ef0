import { migrate } from "../migrate.saga.ts";
import { type Faults, noFaults } from "../progress.port.ts";
import { type FakeWorld, createFakeWorld } from "./fake-world.ts";
import { expectPromises, failing, runInWorld } from "./saga.testsuite.ts";

/** The application serves on the source. */
export async function servingWorld(): Promise<FakeWorld> {
  const world = createFakeWorld();
  await world.serveOnSource();
  return world;
}

export const runIn = async (world: FakeWorld, faults: Faults) =>
  (await runInWorld({ saga: migrate, world, openPorts: () => world.ports, faults })).end;

/** With every promise looked at afterwards. */
export async function migrateIn(world: FakeWorld, faults: Faults = noFaults) {
  const end = await runIn(world, faults);
  expectPromises(world, end);
  return end;
}

export const failsVerify = failing({ step: "verify", phase: "do", moment: "before" });
