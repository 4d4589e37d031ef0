import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { until } from "../containers/until.ts";
import { readyAndWait, useRunBed } from "./run-bed.ts";

const obeys = `trap 'exit 0' TERM; ${readyAndWait}`;

describe("an agent that is attached", { timeout: 60_000 }, () => {
  const bed = useRunBed();
  const children: ChildProcess[] = [];
  afterEach(async () => {
    for (const child of children.splice(0)) {
      const isOver = child.exitCode !== null || child.signalCode !== null;
      const exit = isOver ? null : once(child, "exit");
      try {
        // Its group: what it started holds its output open.
        process.kill(-(child.pid ?? 0), "SIGKILL");
      } catch {
        // Nobody is left in it.
      }
      await exit;
      child.stdout?.destroy();
      child.stderr?.destroy();
    }
  });

  /** What somebody else executes: not the agent's child, in a session of its own. */
  const start = (...command: string[]): ChildProcess & { output(): string } => {
    const [file = "", ...args] = command;
    const child = spawn(file, args, { stdio: ["ignore", "pipe", "pipe"], detached: true });
    children.push(child);
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
    return Object.assign(child, { output: () => output });
  };
  const startBehindGate = (directory: string, script: string) =>
    start("sh", join(directory, "gate.sh"), directory, "sh", "-c", script);
  const attach = async (...options: string[]) => {
    const agent = await bed.run({ mode: "attach", options, command: [] });
    await agent.listens();
    return agent;
  };
  const isIn = (agent: Awaited<ReturnType<typeof attach>>, state: string) =>
    until(state, async () => (await agent.status()).state === state);
  const newDirectory = () => mkdtemp(join(bed.directory(), "gate-"));

  it("opens the gate once: what is stopped behind it is proven, and the next command waits", async () => {
    const directory = await newDirectory();
    const agent = await attach("--gate", directory);
    const first = startBehindGate(directory, obeys);
    await isIn(agent, "running");
    await until("the application is up", () => first.output().includes("ready"));
    expect(await agent.stop()).toMatchObject({ outcome: "graceful", evidenceClass: "proven" });
    expect(await agent.receipts()).toMatchObject([{ exit: { code: 0, signal: null } }]);
    // As the platform would: the same command once more.
    const second = startBehindGate(directory, "echo ran");
    await until("it waits", async () =>
      (await readFile(join(directory, "waiting"), "utf8")).startsWith(`${second.pid}\n`),
    );
    await agent.stop();
    expect(await agent.status()).toMatchObject({ state: "stopped" });
    expect(second.exitCode).toBeNull();
    expect(second.output()).toBe("");
  });

  it("tells the exit status that the gate saw, and a death by signal", async () => {
    for (const [script, exit, outcome] of [
      [`trap 'exit 3' TERM; ${readyAndWait}`, { code: 3, signal: null }, "crashed-during-stop"],
      [`exec sleep 600`, { code: null, signal: "SIGTERM" }, "crashed-during-stop"],
    ] as const) {
      const directory = await newDirectory();
      const agent = await attach("--gate", directory);
      startBehindGate(directory, script);
      await isIn(agent, "running");
      expect(await agent.stop()).toMatchObject({ outcome, evidenceClass: "proven" });
      expect(await agent.receipts()).toMatchObject([{ exit }]);
    }
  });

  it("takes the next command after the application crashed by itself", async () => {
    const directory = await newDirectory();
    const agent = await attach("--gate", directory);
    const first = startBehindGate(directory, "exit 7");
    await once(first, "exit");
    expect(first.exitCode).toBe(7);
    startBehindGate(directory, obeys);
    await until("the second one runs", async () => {
      const { state, run } = await agent.status();
      return state === "running" && run?.counter === 2;
    });
    const [crash] = await agent.receipts();
    expect(crash).toMatchObject({ outcome: "already-stopped", exit: { code: 7 } });
  });

  it("case 43: an agent that starts again adopts what runs behind the gate, and neither drains nor stops it", async () => {
    const directory = await newDirectory();
    const agent = await attach("--gate", directory);
    const application = startBehindGate(directory, obeys);
    await isIn(agent, "running");
    agent.signal("SIGKILL");
    await agent.ended();
    const { stateDirectory } = agent;
    const next = await bed.run({
      mode: "attach",
      options: ["--gate", directory],
      command: [],
      stateDirectory,
    });
    await next.listens();
    await isIn(next, "running");
    expect(application.exitCode).toBeNull();
    expect(await next.stop()).toMatchObject({ outcome: "graceful", evidenceClass: "proven" });
    await until("the gate ended", () => application.exitCode === 0);
  });

  it("opens no gate for half of an opening: a shell that got less than all of it runs nothing", async () => {
    const directory = await newDirectory();
    await attach("--gate", directory, "--start", "immediately");
    const script = await readFile(join(directory, "gate.sh"), "utf8");
    const other = await newDirectory();
    await writeFile(join(other, "gate.sh"), script);
    const waiting = startBehindGate(other, "echo ran");
    await until(
      "it waits",
      async () => (await readFile(join(other, "waiting"), "utf8").catch(() => "")) !== "",
    );
    // Asked for before the write: the shell may be gone by the time the write is known to be done.
    const exit = once(waiting, "exit");
    await writeFile(join(other, "gate"), "export BATON_COOKIE='half'\n");
    await exit;
    expect(waiting.exitCode).toBe(125);
    expect(waiting.output()).toBe("");
  });

  it("rule 1: claims at most where nothing keeps the application from starting", async () => {
    const marker = `baton-test-${process.pid}-claim`;
    start("sh", "-c", `: ${marker}; ${obeys}`);
    const agent = await attach("--match", marker);
    await isIn(agent, "running");
    expect(await agent.stop()).toMatchObject({ evidenceClass: "claimed" });
    start("sh", "-c", `: ${marker}; ${obeys}`);
    await until("what came back is seen", async () => {
      const { state, run } = await agent.status();
      return state === "running" && run?.counter === 2;
    });
  });

  it("rule 1: an end that the next life of the agent finds out is a claim as well", async () => {
    const marker = `baton-test-${process.pid}-next-life`;
    const application = start("sh", "-c", `: ${marker}; ${obeys}`);
    const agent = await attach("--match", marker);
    await isIn(agent, "running");
    agent.signal("SIGKILL");
    await agent.ended();
    const exit = once(application, "exit");
    process.kill(-(application.pid ?? 0), "SIGKILL");
    await exit;
    const { stateDirectory } = agent;
    const next = await bed.run({
      mode: "attach",
      options: ["--match", marker],
      command: [],
      stateDirectory,
    });
    await next.listens();
    const journal = JSON.parse(await readFile(join(stateDirectory, "journal"), "utf8")) as {
      run: { end: unknown };
    };
    expect(journal.run.end).toMatchObject({ evidenceClass: "claimed" });
  });

  it("finds the application by its pidfile, and says nothing of a stranger's number", async () => {
    const application = start("sh", "-c", obeys);
    const stranger = start("sh", "-c", obeys);
    const file = join(await newDirectory(), "pid");
    await writeFile(file, `${application.pid}\n`);
    const agent = await attach("--pidfile", file);
    await isIn(agent, "running");
    expect(await agent.stop()).toMatchObject({ evidenceClass: "claimed" });
    await until("the application ended", () => application.exitCode !== null);
    expect(stranger.exitCode).toBeNull();
  });

  it("chooses nobody where several fit, and says which", async () => {
    const marker = `baton-test-${process.pid}-twins`;
    const twins = [1, 2].map(() => start("sh", "-c", `: ${marker}; ${obeys}`));
    const agent = await attach("--match", marker);
    await agent.printed("name a container or a pidfile");
    expect(await agent.status()).toMatchObject({ state: "held" });
    for (const twin of twins) expect(agent.output()).toContain(String(twin.pid));
  });

  it("never takes PID 1, nor what it descends from itself", async () => {
    for (const pid of [1, process.pid]) {
      const file = join(await newDirectory(), "pid");
      await writeFile(file, `${pid}\n`);
      const agent = await attach("--pidfile", file);
      await agent.stop();
      expect(await agent.status()).toMatchObject({ state: "held", run: null });
    }
  });
});
