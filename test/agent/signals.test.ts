import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { readyAndWait, shell, useRunBed } from "./run-bed.ts";

describe("signals to the agent in run mode", { timeout: 180_000 }, () => {
  const bed = useRunBed();

  it("case 2: further SIGTERM and SIGINT join the stop, and the ladder goes on where it was", async () => {
    const agent = await bed.run({
      options: ["--grace-ms", "10000"],
      command: shell(`trap 'echo told; sleep 0.5; exit 0' TERM INT; ${readyAndWait}`),
    });
    await agent.printed("ready");
    agent.signal("SIGTERM");
    await agent.printed("told");
    for (const signal of ["SIGINT", "SIGTERM", "SIGTERM"] as const) {
      agent.signal(signal);
      await delay(20);
    }
    expect(await agent.ended()).toBe(0);
    expect(agent.output().match(/told/g)).toHaveLength(1);
    expect(await agent.receipts()).toMatchObject([{ outcome: "graceful", signals: [{ signal: "SIGTERM" }] }]);
  });

  it("case 2: a stop over the local socket and a SIGTERM are one stop, told to both", async () => {
    const agent = await bed.run({
      command: shell(`trap 'echo told; sleep 0.5; exit 0' TERM; ${readyAndWait}`),
    });
    await agent.printed("ready");
    await agent.listens();
    const stopped = agent.stop();
    await agent.printed("told");
    agent.signal("SIGTERM");
    // The agent ends once the stop did; it answers before.
    expect(await stopped).toMatchObject({ outcome: "graceful", evidenceClass: "proven" });
    expect(await agent.ended()).toBe(0);
    expect(agent.output().match(/told/g)).toHaveLength(1);
    const receipts = await agent.receipts();
    expect(new Set(receipts.map(({ timings }) => timings.signalledAt)).size).toBe(1);
    for (const receipt of receipts) expect(receipt).toMatchObject({ outcome: "graceful", exit: { code: 0 } });
  });

  it("case 2: a SIGTERM after a refused stop tries again", async () => {
    const agent = await bed.run({
      options: ["--grace-ms", "5000", "--platform-grace-ms", "20000"],
      command: shell(
        `told=0; trap 'told=$((told+1)); echo told $told; [ $told = 2 ] && exit 0' TERM; ${readyAndWait}`,
      ),
    });
    await agent.printed("ready");
    await agent.listens();
    agent.signal("SIGTERM");
    await agent.printed("the agent stays");
    expect(await agent.status()).toMatchObject({ state: "running" });
    agent.signal("SIGTERM");
    expect(await agent.ended()).toBe(0);
    expect((await agent.receipts()).map(({ outcome }) => outcome)).toEqual(["refused", "graceful"]);
  });

  it("case 5: HUP, USR1, USR2, QUIT and WINCH reach the application, once and alone", async () => {
    const signals = ["HUP", "USR1", "USR2", "QUIT", "WINCH"] as const;
    const traps = signals.map((signal) => `trap 'echo got-${signal}' ${signal}`).join("; ");
    const agent = await bed.run({ command: shell(`${traps}; trap 'exit 0' TERM; ${readyAndWait}`) });
    await agent.printed("ready");
    await agent.listens();
    for (const signal of signals) {
      agent.signal(`SIG${signal}`);
      await agent.printed(`got-${signal}`);
    }
    expect(agent.output().match(/got-\w+/g)).toEqual(signals.map((signal) => `got-${signal}`));
    // Node's own answer to SIGUSR1.
    expect(agent.output()).not.toContain("Debugger listening");
    expect(await readFile(`/proc/${agent.child.pid}/net/tcp`, "utf8")).not.toMatch(/0100007F:240D .* 0A /);
    expect(await agent.status()).toMatchObject({ state: "running" });
    agent.signal("SIGTERM");
    expect(await agent.ended()).toBe(0);
  });

  it("case 5: PIPE and CHLD end neither the agent nor the application, and are not passed on", async () => {
    const agent = await bed.run({
      command: shell(
        `trap 'echo got-PIPE' PIPE; trap 'echo got-USR1' USR1; trap 'exit 0' TERM; ${readyAndWait}`,
      ),
    });
    await agent.printed("ready");
    await agent.listens();
    agent.signal("SIGPIPE");
    agent.signal("SIGCHLD");
    // What is passed on comes in order: behind it nothing is outstanding.
    agent.signal("SIGUSR1");
    await agent.printed("got-USR1");
    expect(agent.output()).not.toContain("got-PIPE");
    expect(await agent.status()).toMatchObject({ state: "running" });
  });

  it("case 5: SIGRTMIN+3 as the stop signal arrives as number 37", async () => {
    const agent = await bed.run({
      options: ["--signal", "RTMIN+3"],
      command: shell(`trap 'echo got-37; exit 0' 37; trap 'echo got-TERM' TERM; ${readyAndWait}`),
    });
    await agent.printed("ready");
    agent.signal("SIGTERM");
    expect(await agent.ended()).toBe(0);
    expect(agent.output()).toContain("got-37");
    expect(agent.output()).not.toContain("got-TERM");
    expect(await agent.receipts()).toMatchObject([
      { outcome: "graceful", signals: [{ signal: "SIGRTMIN+3" }] },
    ]);
  });

  it("case 5: an application that dies of SIGRTMIN+3 did not exit with 0", async () => {
    const agent = await bed.run({
      options: ["--signal", "RTMIN+3", "--signal-to", "main"],
      command: ["sleep", "600"],
    });
    await agent.listens();
    agent.signal("SIGTERM");
    expect(await agent.ended()).not.toBe(0);
    const [receipt] = await agent.receipts();
    expect(receipt).toMatchObject({ outcome: "crashed-during-stop", evidenceClass: "proven" });
    expect(receipt?.exit?.code).not.toBe(0);
  });
});
