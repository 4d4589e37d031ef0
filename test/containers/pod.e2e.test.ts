import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type Pod, needsContainers, useContainers } from "./container-bed.ts";
import type { Container } from "./container.ts";
import { findPodman } from "./podman.ts";
import { until } from "./until.ts";

const found = await findPodman();
const agent = "/opt/baton/baton-agent";
const tini = ["/opt/baton/tini", "-s", "--"];
const stop = [agent, "stop", "--wait"];
const application = (stopMs: number): readonly string[] => ["node", "/app/application.ts", String(stopMs)];
const proven = { evidenceClass: "proven", evidence: { treeGone: true, remaining: [] } };
const graceful = { outcome: "graceful", evidenceClass: "proven", exit: { code: 0, signal: null } };

describe(
  "an agent beside the application in a pod",
  {
    skip: found.missing !== null,
    meta: needsContainers(found),
  },
  () => {
    const bed = useContainers(found);

    /** The agent's container, and one whose command waits at its gate and is let through. */
    const startBoth = async (
      command: readonly string[],
    ): Promise<{ pod: Pod; sidecar: Container; app: Container }> => {
      const pod = await bed.pod();
      const gate = join(await bed.directory(), "gate");
      await mkdir(gate);
      const podman = ["--volume", `${gate}:/gate`];
      const attach = [...tini, agent, "attach", "--gate", "/gate", "--listen", "none"];
      // What waits at the gate gets the agent's environment, so that PATH must do for both images.
      const sidecar = await pod.run({
        image: "agent",
        command: [],
        entrypoint: attach,
        podman: [...podman, "--env", "PATH=/usr/local/bin:/usr/bin:/bin"],
      });
      await sidecar.printed("the agent listens");
      const app = await pod.run({
        command: [],
        entrypoint: ["sh", "/gate/gate.sh", "/gate", ...command],
        podman,
      });
      await app.printed("ready");
      return { pod, sidecar, app };
    };

    it("case 25: a stop leaves PID 1, the agent and another container with the same command alone", async () => {
      const { pod, sidecar, app } = await startBoth(application(100));
      const twin = await pod.run({ command: [], entrypoint: application(100) });
      await twin.printed("ready");
      expect(await sidecar.exec(stop)).toMatchObject({ status: 0, stderr: "" });
      expect(await app.ended()).toBe(0);
      expect(await twin.output()).toEqual({ stdout: "ready\n", stderr: "" });
      expect(await Promise.all([twin.isRunning(), sidecar.isRunning()])).toEqual([true, true]);
      const { stdout } = await twin.exec(["cat", "/proc/1/comm"]);
      expect(stdout).toBe("catatonit\n");
      expect(await sidecar.receipts()).toMatchObject([proven]);
    });

    it("case 25: two agents that execute their applications share a PID namespace and do not touch each other's", async () => {
      const pod = await bed.pod();
      const options = ["--listen", "none"];
      const one = await pod.run({ options, command: application(50) });
      const other = await pod.run({ options, command: application(50) });
      await Promise.all([one.begun(), other.begun()]);
      expect((await one.exec(stop)).status).toBe(0);
      expect(await one.receipts()).toMatchObject([graceful]);
      expect((await other.output()).stdout).toBe("ready\n");
      expect(await other.receipts()).toEqual([]);
    });

    it("case 26: what the platform starts again during a stop waits at the gate, and the receipt is of what was there before", async () => {
      const { sidecar, app } = await startBoth(application(60_000));
      const stopped = sidecar.exec([...stop, "--deadline-ms", "20000"]);
      await app.printed("told by SIGTERM");
      await app.signal("KILL");
      await app.ended();
      await app.start();
      expect((await stopped).status).toBe(0);
      expect(await sidecar.receipts()).toMatchObject([
        { outcome: "crashed-during-stop", run: { counter: 1 }, evidence: { treeGone: true } },
      ]);
      expect(await app.isRunning()).toBe(true);
      expect((await app.output()).stdout).toBe("ready\ntold by SIGTERM\n");
    });

    it("case 43: an agent that is killed and started again takes up its application, which notices nothing", async () => {
      const { sidecar, app } = await startBoth(application(100));
      await sidecar.signal("KILL");
      expect(await sidecar.ended()).toBe(137);
      await sidecar.start();
      await sidecar.printed("the agent listens", 2);
      await until("adoption", async () => {
        const { stdout } = await sidecar.exec([agent, "status", "--json"]);
        return (JSON.parse(stdout) as { state: string }).state === "running";
      });
      expect((await app.output()).stdout).toBe("ready\n");
      expect((await sidecar.exec(stop)).status).toBe(0);
      expect(await app.ended()).toBe(0);
      expect((await app.output()).stdout).toBe("ready\ntold by SIGTERM\n");
      expect(await sidecar.receipts()).toMatchObject([proven]);
    });

    it("case 49: zombies that others do not reap do not hold up the proof", async () => {
      const leave = `fork or exit; $| = 1; $SIG{TERM} = sub { exit 0 }; print "ready\\n"; sleep 1 while 1;`;
      const { pod, sidecar, app } = await startBoth(["perl", "-e", leave]);
      const other = await pod.run({ command: [], entrypoint: ["perl", "-e", leave] });
      await other.printed("ready");
      await app.execInBackground(["perl", "-e", leave]);
      const zombies = async (): Promise<number> =>
        (await other.exec(["sh", "-c", "cat /proc/[0-9]*/stat"])).stdout.match(/\(perl\) Z/g)?.length ?? 0;
      await until("three zombies", async () => (await zombies()) === 3);
      expect((await sidecar.exec(stop)).status).toBe(0);
      expect(await zombies()).toBeGreaterThanOrEqual(1);
      expect(await sidecar.receipts()).toMatchObject([proven]);
    });
  },
);
