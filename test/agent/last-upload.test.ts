/* P2: a stop after which something acknowledged is nowhere is not called graceful. A case of docs/fault-cases.md. */
import { join } from "node:path";
import { readLedgerFromStore } from "@baton/example-ledger";
import { ledgerProgram } from "@baton/example-ledger/demo";
import { afterEach, describe, expect, it } from "vitest";
import { type AgentBed, createAgentBed, until } from "./agent-process.ts";

let bed: AgentBed | null = null;
afterEach(async () => {
  await bed?.end();
  bed = null;
});

describe(
  "a ledger that holds an acknowledged entry which is not in its bucket yet",
  { timeout: 120_000 },
  () => {
    const key = "op.stop.1";

    it.each([
      ["comes back", "is stopped gracefully", true],
      ["stays away", "is not called graceful", false],
    ] as const)("fault case 7: whose store %s during its stop %s", async (_store, _end, isBack) => {
      bed = await createAgentBed(
        { AWS_ACCESS_KEY_ID: "control", AWS_SECRET_ACCESS_KEY: "control-secret" },
        { command: [process.execPath, ledgerProgram], readiness: "/readyz", hook: { graceMs: 20_000 } },
      );
      const { run, epoch } = await bed.run();
      const comeBack = await bed.takeStoreAway("nobody");
      const url = `http://127.0.0.1:${bed.config.applicationPort}`;
      const entry = JSON.stringify({ id: "a", payload: "one" });
      const headers = { "content-type": "application/json" };
      const answer = await fetch(`${url}/entries`, { method: "POST", headers, body: entry });
      expect(answer.ok).toBe(true);
      await bed.stop({ run, epoch, key, deadlineMs: 40_000 });
      // It takes nobody in any more: its stop has begun, and its last upload fails.
      const isOpen = (): Promise<boolean> =>
        fetch(url).then(
          () => true,
          () => false,
        );
      await until("the stop", async () => !(await isOpen()));
      if (isBack) await comeBack();
      const receipt = await bed.receipt(key);
      if (!isBack) await comeBack();
      expect(receipt).toMatchObject(
        isBack
          ? { outcome: "graceful", evidenceClass: "proven", exit: { code: 0 } }
          : { outcome: "crashed-during-stop", evidenceClass: "proven", exit: { code: 1 } },
      );
      expect(await bed.processes()).toEqual([]);
      const directory = join(bed.directory, "store");
      const { segments } = await readLedgerFromStore({ directory, bucket: "data", prefix: "ledger/" });
      expect(segments.flatMap(({ entries }) => entries)).toHaveLength(isBack ? 1 : 0);
    });
  },
);
