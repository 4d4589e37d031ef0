/* What an application's agent does while its store is away: the hook's `onLeaseLost`. */
import { setTimeout as delay } from "node:timers/promises";
import { changeLease } from "@baton/storage";
import { afterEach, describe, expect, it } from "vitest";
import { type AgentBed, createAgentBed, until } from "./agent-process.ts";

/** For the two minutes of the promise, with the usual limit: STORE_OUTAGE_MS=120000. */
const outageMs = Number(process.env["STORE_OUTAGE_MS"] ?? "6000");
const lostAfterMs = outageMs / 2;

describe("a store that is away", { timeout: outageMs + 120_000 }, () => {
  let bed: AgentBed;
  afterEach(() => bed.end());

  const begin = async (onLeaseLost: "keep" | "stop", limitMs = lostAfterMs) => {
    bed = await createAgentBed({}, { hook: { onLeaseLost }, storage: { lostAfterMs: limitMs } });
    return bed.run();
  };
  const untilRenewed = async (): Promise<void> => {
    const nonce = (await bed.lease())?.nonce;
    await until("a renewal", async () => (await bed.lease())?.nonce !== nonce);
  };
  const effects = async (): Promise<readonly string[]> => (await bed.effects()).map(({ effect }) => effect);

  it.each(["nobody", "503", "silence"] as const)(
    "stops nothing with `keep`, and the same run is renewed when it is back (%s in its place)",
    async (instead) => {
      const { run, epoch } = await begin("keep");
      const comeBack = await bed.takeStoreAway(instead);
      await delay(outageMs);
      expect(await bed.status()).toMatchObject({
        state: "running",
        ready: true,
        lease: { reachable: false },
      });
      await comeBack();
      await untilRenewed();
      expect(await bed.lease()).toMatchObject({ state: "running", run, epoch });
      expect(await effects()).toEqual(["exec"]);
    },
  );

  it.each(["nobody", "503", "silence"] as const)(
    "stops the application with `stop`, with a receipt and no grant to start again (%s in its place)",
    async (instead) => {
      const { run, epoch } = await begin("stop");
      const comeBack = await bed.takeStoreAway(instead);
      const wentAway = performance.now();
      await until("the stop", async () => (await bed.processes()).length === 0, outageMs + 60_000);
      // Not at the first renewal that fails.
      expect(performance.now() - wentAway).toBeGreaterThan(lostAfterMs * 0.9);
      await until("its end", async () => (await bed.status()).state === "stopped");
      expect(bed.logs()).toMatch(/the lease could not be renewed for \d+ s: the application is stopped/);
      await comeBack();
      await until("the receipt", async () => (await effects()).includes("receipt"));
      expect(await effects()).toEqual(["exec", "signal", "receipt"]);
      // The lease still says that it runs, or that it stopped: both can be handed over with the receipt, and neither starts it again.
      expect(await bed.lease()).toMatchObject({ run, epoch });
      expect(await bed.processes()).toEqual([]);
      const next = await bed.grant({ run, epoch });
      // Until its stop is over as a whole, the agent says "try again".
      const key = `${bed.operation}.start.2`;
      await until("the start", async () => (await bed.askStart(next, key)).status === 202);
      expect(await bed.settled(key)).toMatchObject({ state: "started" });
    },
  );

  it("is no reason to stop when it is shorter than that, with `stop`", async () => {
    const { run } = await begin("stop");
    const comeBack = await bed.takeStoreAway("nobody");
    await delay(lostAfterMs / 3);
    await comeBack();
    await untilRenewed();
    expect(await bed.lease()).toMatchObject({ state: "running", run });
    expect(await effects()).toEqual(["exec"]);
  });

  it.each(["keep", "stop"] as const)(
    "is another thing than a lease that was fenced: with `%s` that decides at once",
    async (policy) => {
      const { run, epoch } = await begin(policy, 60_000);
      const lease = await bed.lease();
      if (lease === null) throw new Error("there is no lease");
      const { owner, holder, prefix, operation } = lease;
      await changeLease({
        store: bed.store,
        prefix,
        change: { kind: "fence", owner, from: { holder, epoch, run }, operation },
        deadlineMs: 5_000,
      });
      if (policy === "stop") {
        await until("the stop", async () => (await bed.processes()).length === 0);
        expect(bed.logs()).toContain("the lease names somebody else: the application is stopped");
      } else {
        await until("it to be seen", async () => (await bed.status()).lease.lost);
        expect(await bed.status()).toMatchObject({ state: "running" });
      }
    },
  );
});
