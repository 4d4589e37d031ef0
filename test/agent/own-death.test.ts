import { mkdtemp, readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type AgentOperation } from "@baton/protocol";
import { compile, compiler, hasCompiler } from "./needs.ts";
import { type RunningAgent, readyAndWait, shell, until, useRunBed } from "./run-bed.ts";

const phases = [
  ["drain", ["--drain-delay-ms", "3000", "--drain-timeout-ms", "1000"], "draining"],
  ["quiesce", ["--quiesce", "sleep 3"], "quiescing"],
  ["signals", [], "stopping"],
  ["export", ["--export", "sleep 3"], "verifying"],
] as const;

/** What the journal says of the stops, with whether each has its receipt. */
async function stops(agent: RunningAgent) {
  const journal = JSON.parse(await readFile(join(agent.stateDirectory, "journal"), "utf8")) as {
    operations: Record<string, { kind: string; progress: Pick<AgentOperation, "state"> }>;
  };
  const names = await readdir(join(agent.stateDirectory, "receipts"));
  return Object.entries(journal.operations)
    .filter(([, { kind }]) => kind === "stop")
    .map(([key, { progress }]) => ({
      key,
      state: progress.state,
      files: names.filter((name) => name.startsWith(key)),
    }));
}

describe("an agent that is killed in the middle of a stop", { timeout: 300_000 }, () => {
  const bed = useRunBed();

  it.each(phases)(
    "case 37: in the phase %s: the next life ends the stop under the same key, with one receipt",
    async (_phase, options, state) => {
      const started = {
        // The agent's death must not look like its end: the next life holds what it finds.
        options: [...options, "--grace-ms", "20000", "--after-exit", "stay"],
        command: shell(`trap 'sleep 1; exit 0' TERM; ${readyAndWait}`),
      };
      const first = await bed.run({ ...started, options: [...started.options, "--signal-to", "main"] });
      await first.printed("ready");
      await first.listens();
      const asked = first.stop(60_000).catch(() => null);
      await until(state, async () => [state, "verifying"].includes((await first.status()).state));
      first.signal("SIGKILL");
      await first.ended();
      await asked;
      const second = await bed.run({ ...started, stateDirectory: first.stateDirectory });
      await second.listens();
      await until("the receipt", async () => (await stops(second)).every((stop) => stop.state === "receipt"));
      const found = await stops(second);
      expect(found).toHaveLength(1);
      expect(found[0]?.files).toEqual([`${found[0]?.key}.jws`]);
      const [receipt] = await second.receipts();
      // Nobody saw how the application exited: that is said, and not called graceful.
      expect(receipt).toMatchObject({ evidenceClass: "proven", exit: null, evidence: { treeGone: true } });
      expect(receipt?.outcome).not.toBe("graceful");
      expect(await second.tree()).toEqual([]);
    },
  );

  it(
    "case 37: right before any of its steps towards the disk leaves one true receipt",
    { skip: !hasCompiler, meta: { needs: compiler } },
    async () => {
      const library = await compile("crash", bed.directory(), "library");
      let crashes = 0;
      for (let step = 1; ; step += 1) {
        const directory = await mkdtemp(join(bed.directory(), "d-"));
        const stateDirectory = join(directory, "state");
        const arm = join(directory, "crash-at");
        const shape = {
          // On a busy machine it takes a while until nobody comes or goes between two looks.
          options: ["--after-exit", "stay", "--grace-ms", "60000"],
          command: shell(`trap 'exit 0' TERM; ${readyAndWait}`),
          stateDirectory,
        };
        const first = await bed.run({
          ...shape,
          env: { LD_PRELOAD: library, CRASH_UNDER: stateDirectory, CRASH_FILE: arm },
        });
        await first.printed("ready");
        await first.listens();
        await until("it wrote what it found", async () =>
          (await readdir(stateDirectory)).includes("endpoint.json"),
        );
        await writeFile(arm, String(step));
        const answered = await first.stop(90_000).catch(() => null);
        if (answered !== null) {
          // There is no such step any more: all of them were tried.
          expect(answered).toMatchObject({ outcome: "graceful" });
          break;
        }
        expect(await first.ended()).toBe(137);
        crashes += 1;
        const second = await bed.run(shape);
        await second.listens();
        // Either the stop was on disk, or nobody ever heard of it and it is asked for again.
        if ((await second.tree()).length > 0) await second.stop(90_000);
        await until("the receipts", async () =>
          (await stops(second)).every(({ state }) => state === "receipt"),
        );
        for (const { files, key } of await stops(second)) expect(files).toContain(`${key}.jws`);
        for (const receipt of await second.receipts())
          expect({ step, ...receipt }).toMatchObject({
            evidenceClass: "proven",
            evidence: { treeGone: true, remaining: [] },
          });
        expect(await second.tree()).toEqual([]);
        second.signal("SIGTERM");
        await second.ended();
      }
      // Journal, receipt and directory, each with fsync and rename.
      expect(crashes).toBeGreaterThanOrEqual(6);
    },
  );
});
