import { afterEach, describe, expect, it } from "vitest";
import { endFixtures, startFixture, startProgram, until } from "./fixtures/start-fixture.ts";
import { identify, isAliveNow } from "./process-identity.ts";
import type { ProcessFact, ScanTreeOptions } from "./scan-facts.ts";
import { scanOnce } from "./scan-round.ts";

afterEach(endFixtures);

const options = (fields: Partial<ScanTreeOptions>): ScanTreeOptions => ({
  cookie: { name: "TREE_COOKIE", value: "borne-by-nobody" },
  roots: [],
  exclude: [],
  ...fields,
});
const round = (fields: Partial<ScanTreeOptions>, before?: readonly ProcessFact[]): readonly ProcessFact[] =>
  scanOnce(options(fields), () => true, before).members;
const pidsOf = (members: readonly ProcessFact[]): number[] =>
  members.map(({ pid }) => pid).toSorted((one, other) => one - other);

describe("scanOnce", () => {
  it("takes over from the round before who is still listed, and never who is not", async () => {
    const { root } = await startProgram("sleep", ["300"], {});
    const before = round({ roots: [root] });
    expect(pidsOf(before)).toEqual([root.pid]);
    expect(round({}, before)).toEqual(before);
    process.kill(root.pid, "SIGKILL");
    await until(async () => (await identify(root.pid)) === null, "the process is reaped");
    expect(round({}, before)).toEqual([]);
  });

  it("errs towards still there for one that died meanwhile, and only if it was found alive before", async () => {
    const { root, find } = await startFixture("zombie.sh", {});
    const zombie = await find("zombie");
    const before = round({ roots: [root] }).filter(({ pid }) => pid === root.pid);
    await until(() => !isAliveNow(zombie), "the child is dead");
    const [fact] = before;
    if (fact === undefined) throw new Error("cannot find the fixture");
    expect(pidsOf(round({}, [{ ...fact, ...zombie }]))).toEqual([zombie.pid]);
    expect(round({ roots: [zombie] })).toEqual([]);
  });

  it("reads what is new, and finds it by what was taken over", async () => {
    const { root, find } = await startFixture("respawner.sh", {});
    const first = await find("child");
    const before = round({ roots: [root] });
    process.kill(first.pid, "SIGKILL");
    await until(async () => (await find("child")).pid !== first.pid, "the child is started again");
    const second = await find("child");
    expect(pidsOf(round({}, before))).toEqual([root.pid, second.pid]);
  });

  it("does not take over an excluded process", async () => {
    const { root } = await startProgram("sleep", ["300"], {});
    expect(round({ exclude: [root.pid] }, round({ roots: [root] }))).toEqual([]);
  });
});
