/* No wall clock decides about a lease: a case of docs/fault-cases.md. */
import { afterEach, expect, it, vi } from "vitest";
import { type Bed, createBed, until } from "./fixtures/agent-bed.ts";

let bed: Bed;
afterEach(async () => {
  vi.useRealTimers();
  await bed.end();
});

it.each([3_600_000, -3_600_000])(
  "fault case 21: a wall clock that jumps by %i ms loses no lease, and stops nothing that would stop with its lease",
  async (jumpMs) => {
    bed = await createBed({ hook: { onLeaseLost: "stop" } });
    const { run, epoch } = await bed.run();
    vi.useFakeTimers({ toFake: ["Date"], shouldAdvanceTime: true, now: Date.now() + jumpMs });
    for (let renewals = 0; renewals < 3; renewals += 1) {
      const nonce = (await bed.lease())?.nonce;
      await until("a renewal", async () => (await bed.lease())?.nonce !== nonce);
    }
    expect(await bed.status()).toMatchObject({
      state: "running",
      run,
      lease: { reachable: true, lost: false },
    });
    expect(await bed.lease()).toMatchObject({ state: "running", run, epoch });
    expect(await bed.effects()).toEqual(["exec"]);
    const { key } = await bed.postStop({ run, epoch });
    expect(await bed.receipt(key)).toMatchObject({ outcome: "graceful", evidenceClass: "proven" });
    expect(await bed.lease()).toMatchObject({ state: "stopped", run, epoch });
  },
);
