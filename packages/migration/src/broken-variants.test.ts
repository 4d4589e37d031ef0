import type { ReplicaRecord } from "@baton/protocol";
import { planLeaseChange } from "@baton/storage";
import { describe, expect, it } from "vitest";
import { type FakeWorld, sourceId, targetId } from "./fakes/fake-world.ts";
import { type Schedule, play } from "./fakes/schedule.ts";
import { migrate } from "./migrate.saga.ts";
import type { PlannedGrant } from "./target-steps.ts";
import type { DeployInput, LeasePort, MigratePorts } from "./ports.ts";
import type { Saga, Step, StepContext } from "./saga.ts";

/*
 * The tests of the promises are worth something only if they fail where a promise is broken: the saga with one safety taken out, and the saga
 * itself under the very same schedule.
 */

const step = (name: string): Step => {
  const found = migrate.steps.find((one) => one.name === name);
  if (found === undefined) throw new Error(`migrate has no step ${name}`);
  return found;
};

const withSteps = (steps: readonly Step[]): Saga<DeployInput, MigratePorts> => ({
  name: "migrate, broken",
  steps,
});

/** Believes the lease instead of a receipt that the source ended (against safety rule 8). */
async function grantFromLease({
  operation,
  ports,
}: StepContext<DeployInput, MigratePorts, unknown>): Promise<PlannedGrant> {
  const current = await ports.lease.read(AbortSignal.timeout(1_000));
  if (current === null) throw new Error("there is no lease");
  const { owner } = ports.lease;
  const holder = ports.target.placement;
  const write = planLeaseChange({
    current,
    change: { kind: "grant", owner, from: current.lease, holder, grant: "early", operation },
  });
  return { epoch: write.lease.epoch, grant: "early", write };
}

/** Looks after an unclear answer whether the write is there, instead of a condition and the same write again (against safety rule 7). */
const readBack =
  (world: FakeWorld): LeasePort["apply"] =>
  async ({ key, body, nonce }) => {
    await world.bucket
      .open()
      .put({ key, body, timeoutMs: 1_000 })
      .catch(() => undefined);
    const lease = world.lease();
    if (lease === null || lease.nonce === nonce) return { kind: "applied" };
    return { kind: "superseded", current: { lease, etag: "" } };
  };

/** The first write of the lease is under way for very long, and its answer is lost. */
const firstWriteLate = (world: FakeWorld): void => {
  const { lease } = world.ports;
  const apply = lease.apply.bind(lease);
  let isFirst = true;
  world.ports.lease.apply = (write, signal) => {
    if (isFirst) world.bucket.inject({ kind: "unclear", write: "late" });
    isFirst = false;
    return apply(write, signal);
  };
};

/** Says that both are equal, and has not looked (against safety rule 19). */
const withoutWaiting = async (): Promise<ReplicaRecord> => ({
  written: "",
  replica: "",
  inventory: { objects: 0, bytes: 0, digest: "" },
  looks: 0,
  waitedMs: 0,
  equalAt: "",
});

const stopCall = (await play(migrate, (world) => world.serveOnSource(), {})).calls.indexOf("source.stop") + 1;

interface Variant {
  readonly without: string;
  readonly saga?: Saga<DeployInput, MigratePorts>;
  readonly change?: (world: FakeWorld) => void;
  /** What befalls the variant and the real saga alike. */
  readonly befalls?: (world: FakeWorld) => void;
  readonly schedule?: Schedule;
  readonly breaks: string;
  readonly realEnds: "committed" | "rolled-back";
}

const variants: readonly Variant[] = [
  {
    without: "the fence, while a process of the source lives on",
    saga: withSteps(migrate.steps.filter(({ name }) => name !== "fence")),
    schedule: { source: "straggler" },
    breaks: `P1: ${sourceId} and ${targetId} ran at once`,
    realEnds: "rolled-back",
  },
  {
    without: "the fence of a failover, whose source lives on unheard",
    saga: withSteps(migrate.steps.filter(({ name }) => name !== "fence")),
    schedule: {
      source: "silent",
      policy: { strategy: "failover", attempts: 1, pauseMs: 0 },
      fence: true,
    },
    breaks: `P1: ${sourceId} and ${targetId} ran at once`,
    realEnds: "committed",
  },
  {
    without: "the stop before the start",
    saga: withSteps([
      step("preflight"),
      step("prepare"),
      { ...step("handOver"), intend: grantFromLease },
      step("start"),
      step("stop"),
      step("fence"),
      step("verify"),
      step("commit"),
      step("retire"),
    ]),
    breaks: `P1: ${sourceId} and ${targetId} ran at once`,
    realEnds: "committed",
  },
  {
    without: "the conditional write, when the handover arrives late",
    change: (world) => (world.ports.lease.apply = readBack(world)),
    befalls: firstWriteLate,
    breaks: `P1: epoch 2 was given to ${sourceId} and ${targetId}`,
    realEnds: "committed",
  },
  {
    without: "the withdrawal of the stop, when the stop arrives late",
    change: ({ source }) => (source.withdraw = () => source.status()),
    schedule: { ports: new Map([[stopCall, { kind: "late", afterCalls: 1_000 }]]) },
    breaks: `P3: ${sourceId} does not serve`,
    realEnds: "rolled-back",
  },
  {
    without: "the graceful outcome in the handover table",
    saga: withSteps(
      migrate.steps.map((one) => (one.name === "fence" ? { ...one, run: () => Promise.resolve(null) } : one)),
    ),
    schedule: { source: "crashed-during-stop" },
    breaks: "P2: what the source acknowledged may be lost",
    realEnds: "rolled-back",
  },
  {
    without: "the record of the fence",
    change: ({ ports }) => (ports.records.saveFence = () => Promise.resolve()),
    befalls: ({ ports, fence }) => (ports.fence = fence),
    schedule: { source: "crashed-during-stop" },
    breaks: "P2: what the source acknowledged may be lost",
    realEnds: "committed",
  },
  {
    without: "waiting for the target's replica",
    change: ({ ports }) => (ports.replica = { waitUntilEqual: withoutWaiting }),
    befalls: ({ ports, replica }) => (ports.replica ??= replica.port),
    breaks: "P2: the target started on old objects",
    realEnds: "committed",
  },
  {
    without: "waiting for the source's replica on the way back",
    change: ({ ports, replica }) =>
      (ports.replica = {
        waitUntilEqual: (writer, signal) =>
          writer === "target" ? withoutWaiting() : replica.port.waitUntilEqual(writer, signal),
      }),
    befalls: ({ ports, replica }) => (ports.replica ??= replica.port),
    schedule: { verifyFails: true },
    breaks: "P2: the source started on old objects",
    realEnds: "rolled-back",
  },
  {
    without: "the end of the operation",
    change: ({ progress }) => (progress.end = () => Promise.resolve()),
    breaks: "P3: no end is recorded",
    realEnds: "committed",
  },
  {
    without: "the receipt in the records",
    change: ({ ports }) => (ports.records.saveReceipt = () => Promise.resolve()),
    breaks: "P4: the stop has neither receipt nor fence",
    realEnds: "committed",
  },
];

describe.each(variants)("a migration without $without", (variant) => {
  const { saga = migrate, change, befalls, schedule = {}, breaks, realEnds } = variant;

  it(`breaks ${breaks}`, async () => {
    const begin = async (world: FakeWorld): Promise<void> => {
      await world.serveOnSource();
      change?.(world);
      befalls?.(world);
    };
    expect((await play(saga, begin, schedule)).broken).toContain(breaks);
  });

  it("keeps it with it, under the same schedule", async () => {
    const begin = async (world: FakeWorld): Promise<void> => {
      await world.serveOnSource();
      befalls?.(world);
    };
    expect(await play(migrate, begin, schedule)).toMatchObject({ end: { state: realEnds }, broken: [] });
  });
});
