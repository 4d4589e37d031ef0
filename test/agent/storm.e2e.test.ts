/** Alone on the machine: who forks so fast keeps every other agent here from a settled look. */
import { describe, expect, it } from "vitest";
import { useRunBed } from "./run-bed.ts";

describe("a storm of processes", { timeout: 180_000 }, () => {
  const bed = useRunBed();

  it("case 16: what forks faster than anybody can look is never called stopped while it lives", async () => {
    // One process at a time, each with a new number, for 20 s at the most.
    const comet = `import os,time\nend=time.monotonic()+20\nprint("ready",flush=True)\nwhile time.monotonic()<end:\n  if os.fork(): os._exit(0)\n  os.setsid()`;
    const agent = await bed.run({
      options: ["--kill-allowed", "--grace-ms", "300"],
      command: ["python3", "-c", comet],
    });
    await agent.printed("ready");
    await agent.listens();
    const { evidenceClass } = await agent.stop(6_000);
    const left = await agent.tree();
    if (evidenceClass === "proven") expect(left).toEqual([]);
    else expect(evidenceClass).toBe("unknown");
  });
});
