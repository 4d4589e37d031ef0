import { mkdtemp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { compile, compiler, hasCompiler } from "./needs.ts";
import { readyAndWait, shell, until, useRunBed } from "./run-bed.ts";

const kills = ["--kill-allowed", "--grace-ms", "700", "--platform-grace-ms", "60000"];
/** In a session of its own and nobody's child any more; does not care for SIGTERM. */
const stubborn = `setsid sh -c 'trap "" TERM; echo daemon; while :; do sleep 0.2; done' &`;
const leavesOnUsr2 = "trap 'exit 0' USR2; while :; do sleep 0.1; done";

describe("the process tree of an application in run mode", { timeout: 180_000 }, () => {
  const bed = useRunBed();

  it("case 14: a leader that leaves a daemon has not ended; the daemon's end is the application's", async () => {
    const agent = await bed.run({
      options: ["--grace-ms", "20000"],
      command: shell(`setsid sh -c 'trap "exit 0" TERM; ${readyAndWait}' & ${leavesOnUsr2}`),
    });
    await agent.printed("ready");
    await agent.printed("the agent listens");
    agent.signal("SIGUSR2");
    await until("the leader's end is seen", async () => (await agent.status()).state !== "running");
    expect(["verifying", "unknown"]).toContain((await agent.status()).state);
    expect(await agent.receipts()).toEqual([]);
    expect(agent.child.exitCode).toBeNull();
    agent.signal("SIGTERM");
    expect(await agent.ended()).toBe(0);
    expect(await agent.receipts()).toMatchObject([{ evidenceClass: "proven", evidence: { treeGone: true } }]);
    expect(await agent.tree()).toEqual([]);
  });

  it("case 14: a daemon that ends by itself ends the application, and the agent", async () => {
    const agent = await bed.run({
      command: shell(`setsid sh -c 'echo ready; sleep 4; echo over' & ${leavesOnUsr2}`),
    });
    await agent.printed("ready");
    await agent.printed("the agent listens");
    agent.signal("SIGUSR2");
    expect(await agent.ended()).toBe(0);
    expect(agent.output()).toContain("over");
    expect(await agent.receipts()).toMatchObject([{ outcome: "already-stopped", evidenceClass: "proven" }]);
  });

  it("case 14: a leader that exits at once does not end the agent before its daemon is gone", async () => {
    const agent = await bed.run({
      command: shell(`setsid sh -c 'trap "" TERM; sleep 3; echo over' & exit 0`),
    });
    expect(await agent.ended()).toBe(0);
    expect(await agent.tree()).toEqual([]);
    expect((await agent.receipts()).at(-1)).toMatchObject({ evidence: { treeGone: true } });
  });

  it("case 15: a grandchild that ignores SIGTERM while its leader exits with 0 is not stopped", async () => {
    const agent = await bed.run({
      options: ["--grace-ms", "600"],
      command: shell(`${stubborn} trap 'exit 0' TERM; ${readyAndWait}`),
    });
    await agent.printed("ready");
    await agent.printed("daemon");
    await agent.listens();
    const { outcome, evidenceClass, remaining } = await agent.stop(30_000);
    expect({ outcome, evidenceClass }).toEqual({ outcome: "refused", evidenceClass: "unknown" });
    expect(remaining.join("\n")).toMatch(/process \d+ \(sh\) lives/);
    expect(await agent.receipts()).toMatchObject([{ evidence: { treeGone: false } }]);
    expect((await agent.tree()).length).toBeGreaterThan(0);
  });

  it("case 16: respawners that replace each other are all gone before it is called forced", async () => {
    // Each of two guards starts the other anew when it is gone; `sleep` is started again as often as it is killed.
    const guard = `trap "" TERM; while :; do kill -0 $1 2>/dev/null || setsid sh -c "$0" "$0" $$ & sleep 0.05; done`;
    const agent = await bed.run({
      options: kills,
      command: shell(
        `trap '' TERM; export G='${guard}'; setsid sh -c "$G" "$G" $$ & setsid sh -c "$G" "$G" $$ & echo ready; while :; do sleep 30; done`,
      ),
    });
    await agent.printed("ready");
    agent.signal("SIGTERM");
    expect(await agent.ended()).toBe(137);
    expect(await agent.receipts()).toMatchObject([{ outcome: "forced", evidence: { treeGone: true } }]);
    expect(await agent.tree()).toEqual([]);
  });

  it("case 15: an agent that was told to end stays with what it may not kill, and leaves when that is gone", async () => {
    const release = join(await mkdtemp(join(bed.directory(), "r-")), "release");
    const agent = await bed.run({
      options: ["--grace-ms", "500"],
      command: shell(
        `setsid sh -c 'trap "" TERM; echo daemon; while [ ! -e "$0" ]; do sleep 0.1; done' ${release} & trap 'exit 3' TERM; ${readyAndWait}`,
      ),
    });
    await agent.printed("ready");
    await agent.printed("daemon");
    agent.signal("SIGTERM");
    await agent.printed("the agent stays");
    await writeFile(release, "");
    expect(await agent.ended()).toBe(3);
    expect(await agent.tree()).toEqual([]);
  });

  it("case 17: a process that is born by the signal itself is found and ended", async () => {
    const agent = await bed.run({
      options: kills,
      command: shell(`trap '${stubborn.replaceAll("'", `'"'"'`)} exit 0' TERM; ${readyAndWait}`),
    });
    await agent.printed("ready");
    agent.signal("SIGTERM");
    await agent.ended();
    expect(await agent.receipts()).toMatchObject([
      { outcome: "forced", exit: { code: 0 }, evidence: { treeGone: true } },
    ]);
    expect(await agent.tree()).toEqual([]);
  });

  it(
    "case 19: a zombie leader with a thread that lives is alive",
    { skip: !hasCompiler, meta: { needs: compiler } },
    async () => {
      const program = await compile("zombie-leader", bed.directory(), "program");
      const agent = await bed.run({ options: ["--grace-ms", "500"], command: [program] });
      await agent.printed("ready");
      await agent.listens();
      await until("the leader is a zombie", async () =>
        (await agent.tree()).some(({ state }) => state === "Z"),
      );
      expect(await agent.status()).toMatchObject({ state: "running" });
      expect(await agent.stop(20_000)).toMatchObject({ outcome: "refused", evidenceClass: "unknown" });
    },
  );

  it("case 20: a process may call itself anything: `) Z 1 (`, a line end, bytes that are no text", async () => {
    const names = [") Z 1 (", "a\\nb c", "\\377\\376"];
    const named = names.map(
      (name) =>
        `sh -c 'printf "${name}" > /proc/self/comm; trap "exit 0" TERM; ${readyAndWait}' "$(printf "\\\\200\\\\377 \\\\n x")" &`,
    );
    const agent = await bed.run({
      options: ["--grace-ms", "20000"],
      command: shell(`${named.join(" ")} trap 'wait; exit 0' TERM; ${readyAndWait}`),
    });
    await agent.printed("ready", 4);
    await agent.listens();
    const comms = (await agent.tree()).map(({ comm }) => comm);
    expect(comms).toEqual(expect.arrayContaining([") Z 1 (", "a\nb c"]));
    expect(await agent.stop(60_000)).toMatchObject({ outcome: "graceful", evidenceClass: "proven" });
    expect(await agent.tree()).toEqual([]);
  });
});
