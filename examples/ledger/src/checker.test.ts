import { describe, expect, it } from "vitest";
import type { DataWrite, Handover } from "./checker.ts";
import { checkLedger, findOverlaps } from "./checker.ts";
import type { Segment } from "./segment.ts";

/**
 * A history in commit order, one word an event: `A` is a data write of key A, `A:running` a lease write naming the
 * placement of A, `?:granted` one naming a placement whose key nobody knows.
 */
function findIn(history: string, { strict }: { readonly strict: boolean }): readonly string[] {
  const commits: DataWrite[] = [];
  const handovers: Handover[] = [];
  for (const [sequence, word] of history.split(" ").entries()) {
    const [key = "", state] = word.split(":");
    if (state === undefined) commits.push({ sequence, accessKeyId: key });
    else
      handovers.push({
        sequence,
        state: state as Handover["state"],
        holderKey: key === "?" ? undefined : key,
      });
  }
  const { overlapping } = findOverlaps({ commits, handovers, strict });
  return overlapping.map(({ sequence, accessKeyId }) => `${accessKeyId}@${sequence}`);
}

describe("findOverlaps without a lease", () => {
  it.each([
    ["one writer", "A A A", []],
    ["a second writer that follows the first", "A A B B", []],
    ["the first writer writing behind the second", "A B A", ["A@2"]],
    ["every write of two writers that alternate", "A B A B", ["A@2", "B@3"]],
    ["each further write of a stale writer", "A B A A", ["A@2", "A@3"]],
    ["a stale writer behind a third", "A B C A", ["A@3"]],
  ])("judges %s", (_name, history, expected) => {
    expect(findIn(history, { strict: false })).toEqual(expected);
  });
});

describe("findOverlaps with a lease", () => {
  it.each([
    ["accepts a way back that a handover allowed", "A B A:granted A:running A A", []],
    ["refuses a way back that names another holder", "A B B:running A", ["A@3"]],
    ["refuses a permit from before the other's last write", "A B A:granted B A", ["A@4"]],
    ["takes a stopped or fenced lease for no permit", "A B A:stopped A:fenced A", ["A@4"]],
    ["takes a lease of an unknown holder for no permit", "A B ?:running A", ["A@3"]],
    ["accepts two handovers, there and back", "A B:running B A:running A B:running B", []],
  ])("%s", (_name, history, expected) => {
    expect(findIn(history, { strict: false })).toEqual(expected);
  });
});

describe("findOverlaps when the move went through the lease", () => {
  it.each([
    ["accepts writes of the running holder", "A:granted A:running A A A:stopped B:granted B:running B", []],
    ["refuses a write before any lease", "A A:running A", ["A@0"]],
    ["refuses a write after the stop", "A:running A A:stopped A", ["A@3"]],
    ["refuses a write under a grant that is not yet a run", "A:granted A", ["A@1"]],
    ["refuses a write after a fence", "A:running A A:fenced A", ["A@3"]],
    ["refuses a target that started before the source stopped", "A:running A B A", ["B@2", "A@3"]],
    ["refuses the source's last write after the handover", "A:running A B:running A B", ["A@3"]],
    ["refuses writes under a lease of an unknown holder", "?:running A", ["A@1"]],
    ["accepts a way back", "A:running A B:running B B:stopped A:granted A:running A", []],
  ])("%s", (_name, history, expected) => {
    expect(findIn(history, { strict: true })).toEqual(expected);
  });
});

describe("checkLedger", () => {
  const segment = (key: string, ...ids: string[]): Segment => ({
    key,
    entries: ids.map((id, index) => ({ id, position: index + 1, payload: "" })),
  });

  it("finds acknowledged entries that the bucket does not hold", () => {
    const result = checkLedger({ acknowledgedIds: ["a", "b", "c"], segments: [segment("one", "a", "x")] });
    expect(result).toEqual({ acknowledged: 3, lost: ["b", "c"], duplicated: [] });
  });

  it("finds ids that stand twice, within a segment and across two", () => {
    const segments = [segment("one", "a", "a", "b"), segment("two", "b", "c"), segment("three", "b")];
    expect(checkLedger({ acknowledgedIds: ["a"], segments }).duplicated).toEqual(["a", "b"]);
  });

  it("counts an id that was acknowledged twice once", () => {
    const result = checkLedger({ acknowledgedIds: ["a", "a"], segments: [segment("one", "a")] });
    expect(result).toEqual({ acknowledged: 1, lost: [], duplicated: [] });
  });
});
