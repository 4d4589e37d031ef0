import { setTimeout as delay } from "node:timers/promises";
import { join } from "node:path";
import { constants } from "node:os";
import { describe, expect, it } from "vitest";
import { missing, needs, useNamespaces } from "./namespace-bed.ts";
import { until } from "./until.ts";

const application = join(import.meta.dirname, "fixtures/application.ts");
const takes = (stopMs: number, exitStatus = 0): readonly string[] => [
  process.execPath,
  application,
  String(stopMs),
  String(exitStatus),
];
const firstProcesses = ["tini", "agent"] as const;
const delaysMs = [0, 2, 5, 10, 20, 30, 40, 50];
/** Those that end a process that does not handle them; the others stop it, continue it or do nothing. */
const deadly = Object.entries(constants.signals).filter(
  ([name]) =>
    !["SIGCHLD", "SIGCONT", "SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG", "SIGWINCH"].includes(name),
);

describe("the agent at the top of a PID namespace", { skip: missing !== null, meta: { needs } }, () => {
  const supervise = useNamespaces();

  it.each(delaysMs)("case 1: below tini a SIGTERM %i ms after tini's start ends everything", async (ms) => {
    const supervised = await supervise({ firstProcess: "tini", command: takes(0) });
    const { namespace } = supervised;
    await namespace.hears();
    await delay(ms);
    await namespace.signal("SIGTERM");
    // 143 when it came before the agent, or the application, listened.
    expect([0, 143]).toContain(await namespace.ended());
    expect(await namespace.processes()).toEqual([]);
    const hasBegun = supervised.output().includes("ready");
    if (hasBegun) expect(await supervised.receipts()).toMatchObject([{ outcome: "graceful" }]);
  });

  it.each(delaysMs)(
    "case 1: as PID 1 a SIGTERM %i ms after exec may be lost, but not the next",
    async (ms) => {
      const supervised = await supervise({ firstProcess: "agent", command: takes(0) });
      const { namespace } = supervised;
      await delay(ms);
      await namespace.signal("SIGTERM");
      const isOver = (): boolean => namespace.child.exitCode !== null;
      await until("either", () => isOver() || supervised.output().includes("ready"));
      if (!isOver()) await namespace.signal("SIGTERM").catch(() => {});
      expect([0, 143]).toContain(await namespace.ended());
    },
  );

  it.each(firstProcesses)(
    "case 2: further signals during a stop join it, with %s as PID 1",
    async (firstProcess) => {
      const supervised = await supervise({ firstProcess, command: takes(700) });
      const { namespace } = supervised;
      await supervised.printed("ready");
      for (const signal of ["SIGTERM", "SIGTERM", "SIGINT", "SIGTERM"] as const) {
        await namespace.signal(signal);
        await delay(50);
      }
      expect(await namespace.ended()).toBe(0);
      expect(supervised.output().match(/told by \w+/g)).toEqual(["told by SIGTERM"]);
      const receipts = await supervised.receipts();
      expect(receipts).toMatchObject([
        {
          outcome: "graceful",
          evidenceClass: "proven",
          exit: { code: 0, signal: null },
          signals: [{ signal: "SIGTERM" }],
        },
      ]);
      expect(receipts[0]?.timings.stopMs).toBeGreaterThanOrEqual(690);
    },
  );

  it.each(firstProcesses)(
    "case 3: an application's death by a signal is 128 and its number, with %s as PID 1",
    async (firstProcess) => {
      const ends = await inPairs(deadly, async ([name, number]) => {
        const command = ["sh", "-c", `ulimit -c 0; kill -${number} $$`];
        const { namespace } = await supervise({ firstProcess, options: ["--after-exit", "exit"], command });
        return [name, await namespace.ended()];
      });
      expect(ends).toEqual(deadly.map(([name, number]) => [name, 128 + number]));
    },
    120_000,
  );

  it("case 51: a graceful stop is 0 where the map says so, whatever the application returned", async () => {
    const jvm = ["--graceful-exit-code", "143"];
    const ends = await inPairs(
      [jvm, [...jvm, "--map-exit-code", "143:0", "--map-exit-code", "7:9"]],
      async (options) => {
        const supervised = await supervise({ firstProcess: "agent", options, command: takes(0, 143) });
        await supervised.printed("ready");
        await supervised.namespace.signal("SIGTERM");
        const status = await supervised.namespace.ended();
        return [status, (await supervised.receipts()).map(({ outcome }) => outcome)];
      },
    );
    expect(ends).toEqual([
      [143, ["graceful"]],
      [0, ["graceful"]],
    ]);
  });
});

/** Two at a time, as the machine may have no more processors. */
async function inPairs<Item, Result>(
  items: readonly Item[],
  act: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  for (let at = 0; at < items.length; at += 2)
    results.push(...(await Promise.all(items.slice(at, at + 2).map((item) => act(item)))));
  return results;
}
