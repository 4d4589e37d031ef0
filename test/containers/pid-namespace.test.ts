import { afterEach, describe, expect, it } from "vitest";
import { until } from "./until.ts";
import { type PidNamespace, missingPidNamespaces, startPidNamespace } from "./pid-namespace.ts";

const missing = missingPidNamespaces();

describe(
  "a PID namespace for a test",
  {
    skip: missing !== null,
    meta: { needs: { part: "PID namespaces", reason: missing ?? "" } },
  },
  () => {
    let namespace: PidNamespace | null = null;
    const start = async (...command: readonly string[]): Promise<PidNamespace> =>
      (namespace = await startPidNamespace(command));
    afterEach(async () => namespace?.remove());

    it("makes the command PID 1, and gives its exit status", async () => {
      const first = await start("sh", "-c", "exit $$");
      expect(await first.ended()).toBe(1);
    });

    it("signals PID 1 from outside", async () => {
      const first = await start("tini", "--", "sleep", "60");
      await first.hears();
      await first.signal("SIGTERM");
      expect(await first.ended()).toBe(143);
    });

    it("shows that a Node that does not listen is deaf as PID 1", async () => {
      const first = await start(process.execPath, "-e", "setInterval(() => {}, 1000)");
      await first.signal("SIGTERM");
      await first.signal("SIGINT");
      expect(await first.processes()).toMatchObject([{ innerPid: 1 }]);
      await first.remove();
      expect(await first.processes()).toEqual([]);
    });

    it("lists the zombies that a Node as PID 1 leaves, and none below tini", async () => {
      const program = `require("node:child_process").spawn("sh", ["-c", "(sleep 0.1 &)"]); setInterval(() => {}, 1000)`;
      const states = async (): Promise<string[]> =>
        ((await namespace?.processes()) ?? []).map(({ name, state }) => (state === "Z" ? `${name} Z` : name));
      await start(process.execPath, "-e", program);
      await until("a zombie", async () => (await states()).includes("sleep Z"));
      await namespace?.remove();
      await start("tini", "--", process.execPath, "-e", program);
      await until("sleep runs", async () => (await states()).includes("sleep"));
      await until("sleep is gone", async () => !(await states()).some((name) => name.startsWith("sleep")));
      expect(await states()).toHaveLength(2);
    });
  },
);
