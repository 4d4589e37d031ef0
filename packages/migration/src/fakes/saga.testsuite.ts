import { AppError } from "@baton/protocol";
import { describe, expect, it } from "vitest";
import type { DeployInput } from "../ports.ts";
import { type FaultPoint, type Faults, type SagaEnd, noFaults } from "../progress.port.ts";
import { runSaga } from "../run-saga.ts";
import type { Saga } from "../saga.ts";
import { type FakeWorld, input as usualInput, operationId } from "./fake-world.ts";
import { Crash, createMemoryEngine } from "./memory-engine.ts";
import { brokenPromises } from "./promises.ts";

type CrashPlan = (visit: number) => "before" | "after" | null;

export function expectPromises(world: FakeWorld, end: SagaEnd): void {
  expect(brokenPromises(world, end)).toEqual([]);
}

/** Something happens at every point that has these properties. */
export const at = (wanted: Partial<FaultPoint>, happens: () => unknown): Faults => ({
  reach: async (point) => {
    if (Object.entries(wanted).every(([key, value]) => point[key as keyof FaultPoint] === value))
      await happens();
  },
});

/** Fails at every point that has these properties. */
export const failing = (wanted: Partial<FaultPoint>): Faults =>
  at(wanted, () => {
    throw new AppError("injected-fault", `planted at ${wanted.step}`);
  });

export const both = (one: Faults, other: Faults): Faults => ({
  async reach(point) {
    await one.reach(point);
    await other.reach(point);
  },
});

export interface RunInWorld<Ports> {
  readonly saga: Saga<DeployInput, Ports>;
  readonly world: FakeWorld;
  /** The ports of one life of the process. @param die ends that life. */
  readonly openPorts: (die: () => void) => Ports;
  readonly faults?: Faults | undefined;
  readonly crashAt?: CrashPlan | undefined;
  readonly input?: DeployInput | undefined;
}

/** Runs the saga, and again after every crash, until it ends. `names` are the engine's steps that were not recorded yet when reached. */
export async function runInWorld<Ports>({
  saga,
  world,
  openPorts,
  faults = noFaults,
  crashAt = () => null,
  input = usualInput,
}: RunInWorld<Ports>) {
  const names: string[] = [];
  for (let life = 1; life <= 50; life += 1) {
    const { promise: killed, reject } = Promise.withResolvers<never>();
    killed.catch(() => undefined);
    const { journal } = world;
    const engine = createMemoryEngine({ journal, killed, crashAt: (name) => crashAt(names.push(name)) });
    try {
      const end = await runSaga({
        saga,
        operation: operationId,
        input,
        ports: openPorts(() => reject(new Crash())),
        engine,
        progress: world.progress,
        faults,
      });
      return { end, lives: life, names };
    } catch (error) {
      if (!(error instanceof Crash)) throw error;
    }
  }
  throw new Error("the operation did not end in 50 lives");
}

export interface TestSagaParams<Ports> {
  readonly saga: Saga<DeployInput, Ports>;
  /** A world in which the saga can begin. */
  readonly open: () => Promise<FakeWorld>;
  readonly portsOf: (world: FakeWorld) => Ports;
}

/**
 * Faults generated from the saga's table: each step fails before and after its effect; the process dies at every point of every such course,
 * before and after the work there (so every do and undo also runs twice); undos fail once and for ever.
 */
export function testSaga<Ports>({ saga, open, portsOf }: TestSagaParams<Ports>): void {
  const pivot = saga.steps.findIndex((step) => step.pivot);
  const lastBefore = saga.steps[pivot - 1]?.name ?? "";
  const run = async (faults: Faults = noFaults, crashAt: CrashPlan = () => null) => {
    const world = await open();
    const course = await runInWorld({ saga, world, openPorts: () => portsOf(world), faults, crashAt });
    return { world, ...course };
  };
  const effects = (world: FakeWorld) => ({
    source: { ...world.source.effects },
    target: { ...world.target.effects },
  });

  const expectSameAfterAnyCrash = async (faults: Faults): Promise<void> => {
    const plain = await run(faults);
    expectPromises(plain.world, plain.end);
    expect(plain.names.length).toBeGreaterThan(1);
    for (const visit of plain.names.keys())
      for (const where of ["before", "after"] as const) {
        const { world, end, lives } = await run(faults, (at) => (at === visit + 1 ? where : null));
        const at = { where, name: plain.names[visit] };
        expect({ ...at, lives, state: end.state }).toEqual({ ...at, lives: 2, state: plain.end.state });
        expectPromises(world, end);
        expect(effects(world)).toEqual(effects(plain.world));
      }
  };

  describe(`${saga.name}, faults from its table`, () => {
    it("ends committed, with every effect once, when it crashes at any point", async () => {
      await expectSameAfterAnyCrash(noFaults);
      expect((await run()).end).toEqual({ state: "committed" });
    });

    for (const [index, { name }] of saga.steps.entries())
      for (const moment of ["before", "after"] as const) {
        const faults = failing({ step: name, phase: "do", moment, attempt: 1 });
        const state = index > pivot || (index === pivot && moment === "after") ? "committed" : "rolled-back";
        it(`ends ${state} when ${name} fails ${moment} its effect, also when it crashes at any point`, async () => {
          expect((await run(faults)).end.state).toBe(state);
          await expectSameAfterAnyCrash(faults);
        });
      }

    for (const { name } of saga.steps.filter((step) => step.undo !== undefined)) {
      const back = failing({ step: lastBefore, phase: "do", moment: "before" });
      it(`tries the undo of ${name} again when it fails once`, async () => {
        const { world, end } = await run(
          both(back, failing({ step: name, phase: "undo", moment: "after", attempt: 1 })),
        );
        expect(end.state).toBe("rolled-back");
        expectPromises(world, end);
      });

      it(`halts with both reasons, and with one writer at most, when the undo of ${name} never succeeds`, async () => {
        const { world, end } = await run(
          both(back, failing({ step: name, phase: "undo", moment: "before" })),
        );
        const detail = expect.stringMatching(
          new RegExp(`${lastBefore} failed: .*undo of ${name} failed`),
        ) as string;
        expect(end).toMatchObject({ state: "halted", reason: { detail } });
        expect(world.overlaps).toEqual([]);
      });
    }
  });
}
