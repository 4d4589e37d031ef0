import { describe, expect, it } from "vitest";
import { addKin } from "./kinship.ts";
import type { FoundBy } from "./kinship.ts";
import type { ProcessStat } from "./process-stat.ts";

type Kin = Pick<ProcessStat, "pid" | "ppid"> & Partial<ProcessStat>;

function living(...processes: Kin[]): Map<number, ProcessStat> {
  const stats = processes.map((process) => ({
    comm: "x",
    state: "S",
    processGroup: 1,
    session: 1,
    startTime: "1",
    threads: 1,
    kernelThread: false,
    environmentPlaced: true,
    ...process,
  }));
  return new Map(stats.map((stat) => [stat.pid, stat]));
}

function kinOf(root: number, table: Map<number, ProcessStat>, dead: number[] = [], foreign: number[] = []) {
  const members = new Map<number, FoundBy>(table.has(root) ? [[root, "root"]] : []);
  addKin(members, { living: table, deadLeaders: new Set(dead), foreignGroups: new Set(foreign) });
  return Object.fromEntries(members);
}

describe("addKin", () => {
  it("follows parents to any depth, in whatever order they are listed", () => {
    const table = living({ pid: 9, ppid: 8 }, { pid: 8, ppid: 7 }, { pid: 7, ppid: 5 }, { pid: 5, ppid: 1 });
    expect(kinOf(5, table)).toEqual({ 5: "root", 7: "parent", 8: "parent", 9: "parent" });
  });

  it("takes the session and the process group that a member leads, and their descendants", () => {
    const table = living(
      { pid: 5, ppid: 1, session: 5, processGroup: 5 },
      { pid: 7, ppid: 1, session: 5, processGroup: 7 },
      { pid: 8, ppid: 1, session: 1, processGroup: 5 },
      { pid: 9, ppid: 8, session: 9, processGroup: 9 },
      { pid: 10, ppid: 1, session: 9, processGroup: 10 },
      { pid: 11, ppid: 1 },
    );
    expect(kinOf(5, table)).toEqual({
      5: "root",
      7: "session",
      8: "processGroup",
      9: "parent",
      10: "session",
    });
  });

  it("follows a chain of thousands, listed from its end", () => {
    const chain = Array.from({ length: 20_000 }, (_, index) => ({ pid: index + 2, ppid: index + 1 }));
    const members = kinOf(2, living(...chain.toReversed()));
    expect(Object.keys(members)).toHaveLength(20_000);
  });

  it("takes the session of a member that is dead", () => {
    expect(kinOf(5, living({ pid: 7, ppid: 1, session: 5 }), [5])).toEqual({ 7: "session" });
  });

  it("leaves the session and the process group of an excluded process alone", () => {
    const table = living(
      { pid: 5, ppid: 1, session: 5, processGroup: 5 },
      { pid: 7, ppid: 1, session: 5, processGroup: 5 },
    );
    expect(kinOf(5, table, [], [5])).toEqual({ 5: "root" });
  });
});
