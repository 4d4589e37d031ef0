import type { SagaEnd } from "../progress.port.ts";
import type { FakePlacement } from "./fake-placement.ts";
import type { FakeWorld } from "./fake-world.ts";

/** What the promises of DESIGN.md mean for the world after an operation: every one that is broken, by its name. */
export function brokenPromises(world: FakeWorld, end: SagaEnd): readonly string[] {
  const { source, target, records, running } = world;
  const lease = world.lease();
  const broken: string[] = [];
  const check = (promise: string, holds: boolean): void => {
    if (!holds) broken.push(promise);
  };
  for (const overlap of world.overlaps) broken.push(`P1: ${overlap} ran at once`);
  if (world.ports.replica !== null)
    for (const who of world.replica.behind) check(`P2: the ${who} started on old objects`, false);
  for (const [epoch, holders] of world.holders())
    check(`P1: epoch ${epoch} was given to ${[...holders].join(" and ")}`, holders.size === 1);
  check("P3: no end is recorded", world.ends.length > 0);
  check("P3: more than one end is recorded", new Set(world.ends.map(({ state }) => state)).size <= 1);
  check("rule 8: the lease is newer than the records", (lease?.epoch ?? 0) <= records.highest);

  const isGone = ({ state }: FakePlacement): boolean => state === "absent" || state === "removed";
  const serves = (one: FakePlacement): void => {
    check(`P3: ${one.placement} does not serve`, one.died || (one.state === "running" && one.clientsLetIn));
    check(`P3: ${one.placement} is gone`, !isGone(one));
    const isNamed = lease?.holder === one.placement && lease.epoch === one.epoch;
    check(`P1: the lease does not name ${one.placement}`, isNamed && (one.died || lease.state === "running"));
    check("P3: the records are not the world's", records.placement === one.placement && !records.stopped);
    check("P3: the recorded epoch is not the lease's", records.epoch === lease?.epoch);
  };
  /** Nobody has the application, and nobody can begin with it but by a new grant. */
  const isReleased = (): void => {
    check("P3: something runs", running.size === 0);
    check("P1: the lease is not stopped", lease?.holder === source.placement && lease.state === "stopped");
  };
  const rests = (): void => {
    isReleased();
    check(`P3: ${source.placement} is gone`, !isGone(source));
    check("P3: the records are not the world's", records.placement === source.placement && records.stopped);
  };
  const wasStoppedWell = (): void => {
    check("P2: what the source acknowledged may be lost", !source.lostWrites || records.possibleLoss);
    check("P4: a possible loss has no fence on record", !records.possibleLoss || records.fences.length > 0);
    check(
      "P4: the stop has neither receipt nor fence",
      records.receipts.length > 0 || records.fences.length > 0,
    );
  };
  if (end.state === "committed") {
    switch (world.aim) {
      case "move":
        serves(target);
        check(
          "P3: the source was not retired",
          // One that was given up for lost is left where it is, without its key.
          !world.wasServing || source.state === "removed" || world.isFenced(source),
        );
        break;
      case "stop":
        rests();
        break;
      case "start":
        serves(source);
        break;
      case "delete":
        isReleased();
        check("P3: the source was not removed", source.state === "removed");
        check("P3: the records are not the world's", records.placement === null && !records.stopped);
        break;
    }
    if (world.wasServing) wasStoppedWell();
  }
  if (end.state === "rolled-back") {
    check("P3: the target was left behind", isGone(target));
    if (world.wasServing) serves(source);
    else if (world.wasStopped) rests();
    else
      check(
        "P3: something is left of the operation",
        running.size === 0 && (lease?.state ?? "stopped") === "stopped",
      );
  }
  return broken;
}
