import fc from "fast-check";
import type { StopPolicy } from "@baton/protocol";
import type { Saga } from "../saga.ts";
import type { DeployInput, MigratePorts } from "../ports.ts";
import type { StopManner } from "./fake-placement.ts";
import { type FakeWorld, createFakeWorld, input } from "./fake-world.ts";
import { type PortFault, createFaultyPorts } from "./faulty-ports.ts";
import { brokenPromises } from "./promises.ts";
import { runInWorld } from "./saga.testsuite.ts";

/** What goes wrong in one operation. */
export interface Schedule {
  /** By the number of the call to a port. */
  readonly ports?: ReadonlyMap<number, PortFault>;
  /** Whose application ends by itself, by the number of the call before which it does. */
  readonly deaths?: ReadonlyMap<number, "source" | "target">;
  /** What becomes of the n-th write to the bucket, or that the n-th request is the moment at which late writes arrive. */
  readonly bucket?: readonly BucketEvent[];
  readonly source?: StopManner;
  readonly target?: StopManner;
  readonly startFails?: boolean;
  readonly verifyFails?: boolean;
  readonly messageLost?: boolean;
  readonly policy?: StopPolicy;
  readonly fence?: boolean;
  /** Somebody wants it taken back, from this call on. */
  readonly abortAt?: number;
  /** The source's cluster and agent are away from one call to another. */
  readonly away?: readonly [number, number];
}

type BucketEvent = "nothing" | "applied" | "dropped" | "late" | "unread" | "arrives" | "outage";

/** Runs the saga under the schedule; then everything that is still under way arrives, and must not matter any more. */
export async function play(
  saga: Saga<DeployInput, MigratePorts>,
  begin: (world: FakeWorld) => Promise<void>,
  schedule: Schedule,
) {
  let events: Iterator<BucketEvent> = [].values();
  const world = createFakeWorld({
    beforeRequest: () => {
      const event: BucketEvent | undefined = events.next().value;
      if (event === "arrives") world.bucket.deliverLate();
      else if (event === "unread") world.bucket.inject({ kind: "unclear", write: "dropped", on: "get" });
      else if (event === "outage") world.failWrites(10);
      else if (event !== undefined && event !== "nothing")
        world.bucket.inject({ kind: "unclear", write: event });
    },
  });
  if (schedule.fence === true) world.ports.fence = world.fence;
  await begin(world);
  events = (schedule.bucket ?? []).values();
  const { starter } = world;
  world.source.stopManner = schedule.source ?? "graceful";
  starter.stopManner = schedule.target ?? "graceful";
  starter.startFails = schedule.startFails ?? false;
  starter.verifyFails = schedule.verifyFails ?? false;
  if (schedule.messageLost === true) world.journal.messages.set = () => world.journal.messages;
  const faulty = createFaultyPorts(
    world.ports,
    (call) => schedule.ports?.get(call),
    async (call) => {
      const [from, to] = schedule.away ?? [Infinity, Infinity];
      world.source.isAway = call >= from && call < to;
      if (call === schedule.abortAt) world.wanted = { code: "aborted", detail: "ada had it taken back" };
      const who = schedule.deaths?.get(call);
      if (who !== undefined) await (who === "target" ? starter : world.source).die();
    },
  );
  const { end, lives } = await runInWorld({
    saga,
    world,
    openPorts: (die) => faulty.open(die),
    input: {
      ...input,
      verify: { method: "POST", path: "/canary", timeoutMs: 1_000 },
      stop: schedule.policy ?? input.stop,
    },
  });
  world.source.isAway = false;
  events = [].values();
  world.source.stopManner = "graceful";
  starter.stopManner = "graceful";
  await faulty.deliverLate();
  world.bucket.deliverLate();
  return { world, end, lives, calls: faulty.calls, broken: brokenPromises(world, end) };
}

const portFault: fc.Arbitrary<PortFault> = fc.oneof(
  fc.record({ kind: fc.constantFrom("fails", "answer-lost", "killed-before", "killed-after") }),
  fc.record({ kind: fc.constant("late"), afterCalls: fc.integer({ min: 1, max: 60 }) }),
);
const call = fc.integer({ min: 1, max: 70 });
const seldom = fc.integer({ min: 0, max: 9 }).map((n) => n === 9);
const manner = fc.oneof(
  { arbitrary: fc.constant<StopManner>("graceful"), weight: 9 },
  {
    arbitrary: fc.constantFrom<StopManner>(
      "refused",
      "silent",
      "crashed-during-stop",
      "unknown",
      "straggler",
    ),
    weight: 1,
  },
);
const bucketEvent = fc.oneof(
  { arbitrary: fc.constant<BucketEvent>("nothing"), weight: 12 },
  {
    arbitrary: fc.constantFrom<BucketEvent>("applied", "dropped", "late", "unread", "arrives", "outage"),
    weight: 1,
  },
);

/** Several faults of every kind in one operation. */
export const schedules: fc.Arbitrary<Schedule> = fc.record({
  ports: fc.array(fc.tuple(call, portFault), { maxLength: 6 }).map((faults) => new Map(faults)),
  deaths: fc
    .array(fc.tuple(call, fc.constantFrom("source" as const, "target" as const)), { maxLength: 1 })
    .map((deaths) => new Map(deaths)),
  bucket: fc.array(bucketEvent, { maxLength: 60 }),
  source: manner,
  target: manner,
  startFails: seldom,
  verifyFails: seldom,
  messageLost: seldom,
});

/** The same under every policy, with and without a fence, aborted or not, with a source that may be away. */
export const strategicSchedules: fc.Arbitrary<Schedule> = fc
  .record({
    schedule: schedules,
    policy: fc.record({
      strategy: fc.constantFrom<StopPolicy["strategy"]>("give-up", "force", "halt", "failover"),
      attempts: fc.integer({ min: 1, max: 3 }),
      pauseMs: fc.constant(0),
    }),
    fence: fc.boolean(),
    abortAt: fc.oneof({ arbitrary: fc.constant(undefined), weight: 5 }, { arbitrary: call, weight: 1 }),
    away: fc.oneof(
      { arbitrary: fc.constant(undefined), weight: 1 },
      { arbitrary: fc.tuple(call, call), weight: 1 },
    ),
  })
  .map(({ schedule, policy, fence, abortAt, away }) => ({
    ...schedule,
    policy,
    fence,
    ...(abortAt === undefined ? {} : { abortAt }),
    ...(away === undefined ? {} : { away }),
  }));
