import { setTimeout as delay } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import { type AgentBed, createAgentBed, until } from "./agent-process.ts";

/** For the ten minutes of the promise: OUTAGE_MS=600000. */
const outageMs = Number(process.env["OUTAGE_MS"] ?? "8000");

describe("an orchestrator that is away", { timeout: outageMs + 120_000 }, () => {
  let bed: AgentBed;
  afterEach(() => bed.end());

  it("gets the receipt when it is back, the same bytes that the agent serves, and once", async () => {
    bed = await createAgentBed();
    const run = await bed.run();
    const comeBack = await bed.takeOrchestratorAway();
    const key = `${bed.operation}.stop.1`;
    await bed.stop({ ...run, key });
    expect(await bed.receipt(key)).toMatchObject({ outcome: "graceful", evidenceClass: "proven" });
    await delay(outageMs);
    expect(bed.confirmations).toEqual([]);
    await comeBack();
    await until("the confirmation", async () => bed.confirmations.length > 0);
    const settled = await bed.settled(key);
    const served = settled.state === "receipt" ? settled.receipt : null;
    expect(bed.confirmations.map((body) => JSON.parse(body) as unknown)).toEqual([{ receipt: served }]);
    expect(await bed.signal("SIGTERM")).toBe(0);
    expect(bed.confirmations).toHaveLength(1);
  });
});
