import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { missing, needs, useNamespaces } from "./namespace-bed.ts";

const orphans = (count: number): readonly string[] => [
  "perl",
  join(import.meta.dirname, "fixtures/orphans.pl"),
  String(count),
];
const graceful = [
  { outcome: "graceful", evidenceClass: "proven", evidence: { treeGone: true, remaining: [] } },
];

describe("an application that leaves orphans", { skip: missing !== null, meta: { needs } }, () => {
  const supervise = useNamespaces();

  it(
    "case 18: 10,000 of them die at one stop, and tini as PID 1 reaps them all",
    { timeout: 300_000 },
    async () => {
      const options = ["--grace-ms", "60000", "--platform-grace-ms", "90000"];
      const supervised = await supervise({ firstProcess: "tini", options, command: orphans(10_000) });
      await supervised.printed("ready", 1, 120_000);
      await supervised.printed("the agent listens");
      await supervised.stop("--deadline-ms", "90000");
      expect(await supervised.receipts()).toMatchObject(graceful);
      const states = (await supervised.namespace.processes()).map(({ state }) => state);
      expect(states.filter((state) => state === "Z")).toHaveLength(0);
      await supervised.namespace.signal("SIGTERM");
      expect(await supervised.namespace.ended()).toBe(0);
    },
  );

  it(
    "case 18: with the agent as PID 1 they stay zombies, which count as gone",
    { timeout: 120_000 },
    async () => {
      const supervised = await supervise({ firstProcess: "agent", command: orphans(500) });
      await supervised.printed("ready", 1, 60_000);
      await supervised.printed("the agent listens");
      await supervised.stop();
      expect(await supervised.receipts()).toMatchObject(graceful);
      const zombies = (await supervised.namespace.processes()).filter(({ state }) => state === "Z");
      expect(zombies.length).toBeGreaterThanOrEqual(500);
      await supervised.namespace.signal("SIGTERM");
      expect(await supervised.namespace.ended()).toBe(0);
    },
  );
});
