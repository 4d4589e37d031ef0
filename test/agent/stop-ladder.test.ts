import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, expect, it } from "vitest";
import { compile, compiler, hasCompiler } from "./needs.ts";
import { readyAndWait, shell, until, useRunBed } from "./run-bed.ts";

const obeys = `trap 'exit 0' TERM; ${readyAndWait}`;
const ignores = `trap '' TERM; echo ready; while :; do sleep 1; done`;
const kills = ["--kill-allowed", "--grace-ms", "700", "--platform-grace-ms", "60000"];

describe("the ladder of signals in run mode", { timeout: 180_000 }, () => {
  const bed = useRunBed();

  it("case 7: an application that ignores SIGTERM is killed after the grace, and called forced", async () => {
    const agent = await bed.run({ options: kills, command: shell(ignores) });
    await agent.printed("ready");
    agent.signal("SIGTERM");
    expect(await agent.ended()).toBe(137);
    const [receipt] = await agent.receipts();
    expect(receipt).toMatchObject({
      outcome: "forced",
      evidenceClass: "proven",
      exit: { code: null, signal: "SIGKILL" },
      signals: [{ signal: "SIGTERM" }, { signal: "SIGKILL" }],
    });
    const [term, kill] = receipt?.signals ?? [];
    expect(Date.parse(kill?.at ?? "") - Date.parse(term?.at ?? "")).toBeGreaterThanOrEqual(690);
    expect(receipt?.timings.stopMs).toBeGreaterThanOrEqual(690);
    expect(receipt?.timings.signalledAt).toBe(term?.at);
  });

  it("case 7: without leave to kill it is refused, serves on, and no SIGKILL was sent", async () => {
    const agent = await bed.run({ options: ["--grace-ms", "300"], command: shell(ignores) });
    await agent.printed("ready");
    await agent.listens();
    const { outcome, remaining } = await agent.stop(20_000);
    expect(outcome).toBe("refused");
    expect(remaining.join("\n")).toMatch(/process \d+ \(sh\) lives, state S/);
    expect(await agent.status()).toMatchObject({ state: "running" });
    const [receipt] = await agent.receipts();
    expect(receipt?.signals.map(({ signal }) => signal)).toEqual(["SIGTERM"]);
  });

  it("case 7: the rungs between follow each other, each after its own time", async () => {
    const agent = await bed.run({
      options: ["--grace-ms", "200", "--escalate", "INT:200", "--escalate", "USR1:20000"],
      command: shell(`trap 'echo T' TERM; trap 'echo I' INT; trap 'echo U; exit 0' USR1; ${readyAndWait}`),
    });
    await agent.printed("ready");
    await agent.listens();
    expect(await agent.stop(60_000)).toMatchObject({ outcome: "graceful" });
    expect(agent.output().match(/^[TIU]$/gm)).toEqual(["T", "I", "U"]);
  });

  it("case 8: an application in state T is woken, and stops within the grace", async () => {
    const agent = await bed.run({ options: ["--grace-ms", "30000"], command: shell(obeys) });
    await agent.printed("ready");
    await agent.listens();
    for (const { pid } of await agent.tree()) process.kill(pid, "SIGSTOP");
    await until("all are in state T", async () => (await agent.tree()).every(({ state }) => state === "T"));
    expect(await agent.stop(60_000)).toMatchObject({ outcome: "graceful", evidenceClass: "proven" });
    const [receipt] = await agent.receipts();
    expect(receipt?.signals.map(({ signal }) => signal)).toEqual(["SIGTERM"]);
  });

  it(
    "case 8: one that a debugger holds is not called stopped, and SIGKILL reaches it where it is allowed",
    { skip: !hasCompiler, meta: { needs: compiler } },
    async () => {
      const tracer = await compile("tracer", bed.directory(), "program");
      for (const isAllowed of [false, true]) {
        const options = [...kills.slice(1), ...(isAllowed ? ["--kill-allowed"] : [])];
        const agent = await bed.run({
          options,
          command: shell(
            `trap 'exit 0' TERM; echo ready; read x <&3`.replace("read x <&3", "while :; do sleep 0.1; done"),
          ),
        });
        await agent.printed("ready");
        await agent.listens();
        const main = (await agent.tree()).find(({ comm }) => comm === "sh");
        const debug = spawn(tracer, [String(main?.pid)], { stdio: ["ignore", "pipe", "inherit"] });
        const ended = once(debug, "exit");
        await once(debug.stdout, "data");
        try {
          const { outcome, remaining } = await agent.stop(60_000);
          expect(outcome).toBe(isAllowed ? "forced" : "refused");
          if (!isAllowed) expect(remaining.join("\n")).toMatch(/\(sh\) lives, state t/);
        } finally {
          debug.kill("SIGKILL");
          await ended;
        }
      }
    },
  );

  it("case 11: an exit of its own while clients leave is a success, with its own exit status", async () => {
    for (const status of [0, 5]) {
      const agent = await bed.run({
        options: ["--drain-delay-ms", "60000", "--drain-timeout-ms", "60000"],
        command: shell(`trap 'exit ${status}' USR2; ${readyAndWait}`),
      });
      await agent.printed("ready");
      await agent.listens();
      const stopped = agent.stop(200_000);
      await until("it drains", async () => (await agent.status()).state === "draining");
      agent.signal("SIGUSR2");
      expect(await stopped).toMatchObject({
        outcome: status === 0 ? "graceful" : "crashed-during-stop",
        evidenceClass: "proven",
      });
      const [receipt] = await agent.receipts();
      expect(receipt).toMatchObject({ exit: { code: status }, evidence: { treeGone: true } });
    }
  });
});
