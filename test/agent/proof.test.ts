import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, stat, writeFile } from "node:fs/promises";
import { type Server, createServer } from "node:net";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { until } from "../containers/until.ts";
import { readyAndWait, shell, useRunBed } from "./run-bed.ts";

const listener = join(import.meta.dirname, "fixtures/listener.ts");
const obeys = `trap 'exit 0' TERM; ${readyAndWait}`;

describe("the proof beside the tree", { timeout: 60_000 }, () => {
  const bed = useRunBed();
  const children: ChildProcess[] = [];
  const servers: Server[] = [];
  afterEach(async () => {
    for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve));
    for (const child of children.splice(0)) {
      const isOver = child.exitCode !== null || child.signalCode !== null;
      const exit = isOver ? null : once(child, "exit");
      child.kill("SIGKILL");
      await exit;
    }
  });
  const checkOf = async (agent: Awaited<ReturnType<typeof bed.run>>, check: string) =>
    (await agent.receipts()).at(-1)?.evidence.checks.find((each) => each.check === check);

  it("case 27: names what was listened on and is released, TCP, UDP and a unix socket whose file stays", async () => {
    const directory = await mkdtemp(join(bed.directory(), "l-"));
    const agent = await bed.run({ command: [process.execPath, listener, join(directory, "socket")] });
    await agent.printed("listening");
    expect(await agent.stop().catch(String)).toMatchObject({ outcome: "graceful", evidenceClass: "proven" });
    const ports = await checkOf(agent, "ports");
    expect(ports).toMatchObject({ state: "passed" });
    expect(ports?.detail.join()).toMatch(/tcp .*udp .*unix /);
    expect((await stat(join(directory, "socket"))).isSocket()).toBe(true);
  });

  it("case 28: a stranger who takes the port right after is not the application", async () => {
    const agent = await bed.run({
      command: [process.execPath, listener, join(await mkdtemp(join(bed.directory(), "l-")), "socket")],
    });
    await agent.printed("listening");
    await agent.listens();
    const port = Number(/tcp (\d+)/.exec(agent.output())?.[1]);
    const stopped = agent.stop();
    await until("the stranger has the port", async () => {
      const server = createServer();
      const got = await new Promise<boolean>((resolve) => {
        server.once("error", () => resolve(false));
        server.listen(port, "127.0.0.1", () => resolve(true));
      });
      if (got) servers.push(server);
      return got;
    });
    expect(await stopped).toMatchObject({ outcome: "graceful", evidenceClass: "proven" });
  });

  it("case 29: a data file that somebody holds open, deleted or locked is not a stop", async () => {
    const data = await mkdtemp(join(bed.directory(), "data-"));
    await writeFile(join(data, "table"), "rows");
    for (const hold of [
      `exec 9<${data}/table; echo holds; exec sleep 600`,
      `exec 9>${data}/gone; rm ${data}/gone; echo holds; exec sleep 600`,
      `exec 9>${data}/lock; flock 9; echo holds; exec sleep 600`,
    ]) {
      const holder = spawn("sh", ["-c", hold], { stdio: ["ignore", "pipe", "ignore"] });
      children.push(holder);
      await once(holder.stdout, "data");
      const agent = await bed.run({ options: ["--data-directory", data], command: shell(obeys) });
      await agent.printed("ready");
      await agent.listens();
      expect(await agent.stop()).toMatchObject({ outcome: "unknown", evidenceClass: "unknown" });
      const files = await checkOf(agent, "files");
      expect(files).toMatchObject({ state: "failed" });
      expect(files?.detail.join()).toContain(`process ${holder.pid} `);
      expect(await agent.status()).toMatchObject({ state: "unknown" });
      // Once it is let go, that is seen; and what was told to stop is not taken for an end of its own, which would end the agent.
      const exit = once(holder, "exit");
      holder.kill("SIGKILL");
      await exit;
      await until("it is over", async () => (await agent.status()).state === "stopped");
      expect(agent.child.exitCode).toBeNull();
      expect(await agent.receipts()).toHaveLength(1);
    }
  });

  it("case 29: a lock file that nobody has locked is nothing, and what was written is flushed", async () => {
    const data = await mkdtemp(join(bed.directory(), "data-"));
    const agent = await bed.run({
      options: ["--data-directory", data],
      command: shell(`exec 9>${data}/lock; flock 9; echo 1 >${data}/rows; ${obeys}`),
    });
    await agent.printed("ready");
    await agent.listens();
    expect(await agent.stop()).toMatchObject({ outcome: "graceful", evidenceClass: "proven" });
    for (const check of ["files", "flush"])
      expect(await checkOf(agent, check)).toMatchObject({ state: "passed" });
  });

  it("a data directory that cannot be looked at is unknown, never free", async () => {
    const agent = await bed.run({
      options: ["--data-directory", "/nonexistent/data"],
      command: shell(obeys),
    });
    await agent.printed("ready");
    await agent.listens();
    expect(await agent.stop()).toMatchObject({ outcome: "unknown", evidenceClass: "unknown" });
    expect((await checkOf(agent, "files"))?.detail.join()).toContain("/nonexistent/data");
  });

  it("a clean end needs the application's marker, and one from before the stop does not count", async () => {
    const data = await mkdtemp(join(bed.directory(), "data-"));
    const marker = join(data, "clean");
    await writeFile(marker, "old");
    const leaves = `trap 'echo done >${marker}; exit 0' TERM; ${readyAndWait}`;
    for (const [script, outcome, state] of [
      [obeys, "crashed-during-stop", "failed"],
      [leaves, "graceful", "passed"],
    ] as const) {
      const agent = await bed.run({ options: ["--marker", marker], command: shell(script) });
      await agent.printed("ready");
      await agent.listens();
      expect(await agent.stop()).toMatchObject({ outcome, evidenceClass: "proven" });
      expect(await checkOf(agent, "marker")).toMatchObject({ state });
    }
  });

  it("rule 11: what leaves at the stop leaves after the tree is gone, and its result is in the receipt", async () => {
    const data = await mkdtemp(join(bed.directory(), "data-"));
    const { stateDirectory, ...agent } = await bed.run({
      options: ["--export", `cat ${data}/rows >${data}/exported; echo "$SECRET" >>${data}/exported`],
      command: shell(`trap 'sleep 0.3; echo last >${data}/rows; exit 0' TERM; ${readyAndWait}`),
      env: { SECRET: "of-the-application" },
    });
    await agent.printed("ready");
    await agent.listens();
    expect(await agent.stop()).toMatchObject({ outcome: "graceful" });
    expect(await readFile(join(data, "exported"), "utf8")).toBe("last\nof-the-application\n");
    const [receipt] = await agent.receipts();
    expect(receipt?.phases.map(({ phase }) => phase)).toEqual(["signals", "export", "verify"]);
    expect(stateDirectory).not.toBe("");
  });

  it("rule 11: an export that fails makes the stop not graceful, and says why", async () => {
    const agent = await bed.run({
      options: ["--export", "echo no room; exit 3"],
      command: shell(obeys),
    });
    await agent.printed("ready");
    await agent.listens();
    expect(await agent.stop()).toMatchObject({ outcome: "crashed-during-stop", evidenceClass: "proven" });
    expect((await checkOf(agent, "export"))?.detail.join()).toContain("no room");
  });

  it("rule 12: a death by signal is graceful only where the hook lists it", async () => {
    for (const [options, outcome] of [
      [[], "crashed-during-stop"],
      [["--graceful-signal", "TERM"], "graceful"],
    ] as const) {
      const agent = await bed.run({ options, command: ["sleep", "600"] });
      await agent.listens();
      expect(await agent.stop()).toMatchObject({ outcome, evidenceClass: "proven" });
    }
  });
});
