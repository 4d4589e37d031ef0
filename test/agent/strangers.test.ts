import { chmod, copyFile, mkdtemp, mkdir, readFile, rmdir, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { signalTree } from "@baton/process-tree";
import { isRoot, root } from "./needs.ts";
import { readyAndWait, shell, until, useRunBed } from "./run-bed.ts";

const nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"];
/** cgroup v1 or v2, where a group of its own can be made. */
const memory = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup"].find((path) =>
  existsSync(join(path, path.endsWith("memory") ? "memory.limit_in_bytes" : "cgroup.controllers")),
);

describe("other users, other numbers, other killers", { timeout: 180_000 }, () => {
  const bed = useRunBed();

  it(
    "case 21: a stranger that got the number of a dead process of the tree survives the stop",
    { skip: !isRoot, meta: { needs: root } },
    async () => {
      const directory = await mkdtemp(join(bed.directory(), "n-"));
      const state = join(directory, "state");
      const child = join(directory, "child");
      const agent = `"${process.execPath}" "${bed.bundle()}"`;
      // The application's child notes its number and ends by USR1; then strangers are started until one has that number.
      const script = `
        ${agent} run --state-directory ${state} --listen none --kill-allowed -- sh -c 'trap "exit 0" TERM; sh -c "echo \\$\\$ > ${child}; exec sleep 600" & echo ready; while :; do sleep 0.2; done' &
        until [ -s ${child} ] && [ -S ${state}/agent.sock ]; do sleep 0.1; done
        number=$(cat ${child}); sleep 1.5; kill -KILL $number; sleep 0.3
        for try in $(seq 200); do
          echo $((number - 1)) > /proc/sys/kernel/ns_last_pid
          sleep 600 & [ $! = $number ] && break; kill $!
        done
        [ $! = $number ] && echo recycled
        ${agent} stop --wait --state-directory ${state}
        kill -0 $number && [ "$(cat /proc/$number/comm)" = sleep ] && echo survives
      `;
      const run = await bed.run({
        program: ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--", "bash", "-c", script],
        command: [],
        stateDirectory: state,
      });
      await run.ended();
      expect(run.output()).toContain("recycled");
      expect(run.output()).toMatch(/(graceful|crashed-during-stop|forced) \(proven\)/);
      expect(run.output()).toContain("survives");
    },
  );

  it(
    "case 23: a process that dropped to another user is seen and ended by a privileged agent",
    { skip: !isRoot, meta: { needs: root } },
    async () => {
      const agent = await bed.run({
        options: ["--grace-ms", "30000"],
        command: [...nobody, ...shell(`trap 'exit 0' TERM; ${readyAndWait}`)],
      });
      await agent.printed("ready");
      await agent.listens();
      expect(await agent.stop(60_000)).toMatchObject({ outcome: "graceful", evidenceClass: "proven" });
    },
  );

  it(
    "case 23: one that an ordinary agent may not signal is a failure in words, and never called dead",
    { skip: !isRoot, meta: { needs: root } },
    async () => {
      // A setuid program that becomes root whole: nobody may signal it.
      const raise = join(await mkdtemp(join(bed.directory(), "u-")), "raise");
      await copyFile("/usr/bin/setpriv", raise);
      await chmod(join(raise, ".."), 0o755);
      await chmod(raise, 0o4755);
      const stateDirectory = join(await mkdtemp(join(bed.directory(), "u-")), "state");
      await chmod(join(stateDirectory, ".."), 0o777);
      const agent = await bed.run({
        options: ["--allow-new-privileges", "--kill-allowed", "--grace-ms", "500"],
        behind: nobody,
        stateDirectory,
        command: shell(
          `${raise} --reuid=0 --regid=0 --clear-groups -- sh -c 'echo raised; exec sleep 600' & trap 'exit 0' TERM; ${readyAndWait}`,
        ),
      });
      await agent.printed("raised");
      await agent.printed("ready");
      await agent.listens();
      const { evidenceClass, outcome, remaining } = await agent.stop(20_000);
      expect(evidenceClass).toBe("unknown");
      expect(["refused", "unknown"]).toContain(outcome);
      expect(remaining.join("\n")).toMatch(/cannot send|sleep|cannot be looked into/);
      expect((await agent.tree()).map(({ comm }) => comm)).toContain("sleep");
    },
  );

  it("case 39: SIGKILL by somebody else is no forced stop: nothing of it was ours", async () => {
    const agent = await bed.run({ command: shell(readyAndWait) });
    await agent.printed("ready");
    await agent.listens();
    for (const { pid } of await agent.tree()) process.kill(pid, "SIGKILL");
    expect(await agent.ended()).toBe(137);
    expect(await agent.receipts()).toMatchObject([
      { outcome: "already-stopped", exit: { code: null, signal: "SIGKILL" }, signals: [] },
    ]);
  });

  it("case 39: SIGKILL by somebody else in the middle of a stop is a crash during it", async () => {
    const agent = await bed.run({
      options: ["--kill-allowed", "--grace-ms", "60000"],
      command: shell(`trap 'echo told' TERM; ${readyAndWait}`),
    });
    await agent.printed("ready");
    await agent.listens();
    const stopped = agent.stop(90_000);
    await agent.printed("told");
    await until("all are killed", async () => {
      const members = await agent.tree();
      await signalTree(members, "SIGKILL");
      return members.length === 0;
    });
    expect(await stopped).toMatchObject({ outcome: "crashed-during-stop", evidenceClass: "proven" });
    const [receipt] = await agent.receipts();
    expect(receipt?.signals.map(({ signal }) => signal)).toEqual(["SIGTERM"]);
  });

  const canLimit = isRoot && memory !== undefined;
  it(
    "case 39: an application that the kernel kills for its memory crashed, and the agent tells of it",
    { skip: !canLimit, meta: { needs: { part: "cgroups", reason: "no memory cgroup can be made here" } } },
    async () => {
      const group = join(memory ?? "", `baton-test-${process.pid}`);
      await mkdir(group);
      const isFirst = memory?.endsWith("memory") === true;
      await writeFile(join(group, isFirst ? "memory.limit_in_bytes" : "memory.max"), String(24 << 20));
      const eat = `a=[]\nwhile True: a.append(bytearray(1<<20))`;
      const agent = await bed.run({
        command: shell(`echo $$ > ${group}/cgroup.procs && exec python3 -c '${eat}'`),
      });
      onTestFinished(() =>
        until("the group is empty", () =>
          rmdir(group).then(
            () => true,
            () => false,
          ),
        ),
      );
      expect(await agent.ended()).toBe(137);
      expect(await agent.receipts()).toMatchObject([
        { outcome: "already-stopped", exit: { signal: "SIGKILL" }, signals: [] },
      ]);
      const told = await readFile(join(group, isFirst ? "memory.oom_control" : "memory.events"), "utf8");
      expect(told).toMatch(/oom_kill [1-9]/);
    },
  );
});
