import { describe, expect, it } from "vitest";
import { shell, useRunBed } from "./run-bed.ts";

describe("every exit status there is, through the agent in run mode", () => {
  const bed = useRunBed();

  it("case 4: all 256 pass through, and the receipt has them too", { timeout: 180_000 }, async () => {
    const left = Array.from({ length: 256 }, (_, status) => status);
    const passed: (readonly [status: number, agents: number, receipts: number | null | undefined])[] = [];
    const worker = async (): Promise<void> => {
      for (let status = left.shift(); status !== undefined; status = left.shift()) {
        const agent = await bed.run({ command: shell(`exit ${status}`) });
        const own = await agent.ended();
        const receipts = await agent.receipts();
        expect(receipts).toMatchObject([{ evidenceClass: "proven", signals: [] }]);
        passed.push([status, own, receipts[0]?.exit?.code]);
      }
    };
    await Promise.all([worker(), worker(), worker(), worker()]);
    const all = Array.from({ length: 256 }, (_, status) => [status, status, status]);
    expect(passed.toSorted(([one], [other]) => one - other)).toEqual(all);
  });
});
