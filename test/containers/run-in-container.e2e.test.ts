import { chmod, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { needsContainers, useContainers } from "./container-bed.ts";
import type { Container } from "./container.ts";
import { findPodman } from "./podman.ts";
import { until } from "./until.ts";

const found = await findPodman();
const agent = "/opt/baton/baton-agent";
const takes = (stopMs: number, exitStatus = 0): readonly string[] => [
  "node",
  "/app/application.ts",
  String(stopMs),
  String(exitStatus),
];
const hardened = {
  image: "agent",
  user: 65_532,
  podman: ["--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges"],
  command: ["/opt/baton/node", "/app/application.ts", "100"],
} as const;
const graceful = { outcome: "graceful", evidenceClass: "proven", exit: { code: 0, signal: null } };

describe(
  "an agent that executes the application in a container",
  {
    skip: found.missing !== null,
    meta: needsContainers(found),
  },
  () => {
    const bed = useContainers(found);
    const namesIn = async (container: Container): Promise<string[]> =>
      (await container.exec(["sh", "-c", "cat /proc/[0-9]*/comm"])).stdout.split("\n");

    it.each(["tini", "agent"] as const)(
      "case 2: the platform's stop, told twice, is one graceful stop, with %s as PID 1",
      async (firstProcess) => {
        const container = await bed.run({ firstProcess, command: takes(600) });
        await container.printed("ready");
        const [status] = await Promise.all([
          container.ended(),
          container.stop(20),
          delay(200).then(() => container.signal("TERM")),
        ]);
        expect(status).toBe(0);
        expect((await container.output()).stdout).toBe("ready\ntold by SIGTERM\n");
        expect(await container.receipts()).toMatchObject([graceful]);
      },
    );

    it.each([3, 9, 11, 15])("case 3: death by signal %i is the container's exit status", async (number) => {
      const command = ["sh", "-c", `ulimit -c 0; kill -${number} $$`];
      const container = await bed.run({ firstProcess: "agent", options: ["--after-exit", "exit"], command });
      expect(await container.ended()).toBe(128 + number);
    });

    it("case 6: the application has every signal at its default, whatever started the agent", async () => {
      const ignoring = `
      use POSIX qw(:signal_h);
      $SIG{$_} = "IGNORE" for qw(INT TERM HUP CHLD PIPE USR1);
      sigprocmask(SIG_BLOCK, POSIX::SigSet->new(SIGTERM, SIGINT, SIGCHLD, SIGUSR2)) or die;
      exec @ARGV;`;
      const run = [
        agent,
        "run",
        "--after-exit",
        "exit",
        "--",
        "grep",
        "-E",
        "^Sig(Blk|Ign)",
        "/proc/self/status",
      ];
      const entrypoint = ["/opt/baton/tini", "-s", "--", "perl", "-e", ignoring, ...run];
      const container = await bed.run({ command: [], entrypoint });
      expect(await container.ended()).toBe(0);
      const none = "0".repeat(16);
      expect((await container.output()).stdout).toBe(`SigBlk:\t${none}\nSigIgn:\t${none}\n`);
    });

    it("case 24: what others execute in the container neither holds up a stop nor ends with it", async () => {
      const container = await bed.run({ command: takes(100) });
      await container.begun();
      await container.execInBackground(["sleep", "300"]);
      await until("the stranger", async () => (await namesIn(container)).includes("sleep"));
      const { status, stderr } = await container.exec([agent, "stop", "--wait"]);
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
      expect(await container.receipts()).toMatchObject([graceful]);
      expect(await namesIn(container)).toContain("sleep");
    });

    it("case 36: after a stop the agent stays and says so; the platform's SIGTERM then ends it at once", async () => {
      const container = await bed.run({ command: takes(50) });
      await container.begun();
      expect((await container.exec([agent, "stop", "--wait"])).status).toBe(0);
      // Long enough for an agent that would end with its application.
      await delay(500);
      expect(await container.isRunning()).toBe(true);
      const status = await container.exec([agent, "status", "--json"]);
      expect(JSON.parse(status.stdout)).toMatchObject({ state: "stopped", ready: false });
      const get = "http.get('http://127.0.0.1:7310/livez', ({ statusCode }) => console.log(statusCode))";
      expect((await container.exec(["node", "-e", get])).stdout).toBe("200\n");
      const toldAt = performance.now();
      await container.stop(20);
      expect(performance.now() - toldAt).toBeLessThan(10_000);
      expect(await container.ended()).toBe(0);
      expect(await container.receipts()).toMatchObject([graceful]);
    });

    it("case 36: started again after a stop it starts the application anew and keeps the receipt", async () => {
      const container = await bed.run({ command: takes(0) });
      await container.printed("ready");
      await container.stop(20);
      await container.start();
      await container.printed("ready", 2);
      await container.stop(20);
      const receipts = await container.receipts();
      expect(receipts).toMatchObject([graceful, graceful]);
      expect(new Set(receipts.map(({ key }) => key)).size).toBe(2);
    });

    it("case 36: started again after a crash of the whole container it starts the application anew", async () => {
      const container = await bed.run({ command: takes(0) });
      await container.printed("ready");
      await container.signal("KILL");
      expect(await container.ended()).toBe(137);
      await container.start();
      await container.printed("ready", 2);
      await container.stop(20);
      expect((await container.receipts()).at(-1)).toMatchObject(graceful);
    });

    it("case 42: a preStop command and the SIGTERM behind it are one stop; the agent outlives the command", async () => {
      const container = await bed.run({ command: takes(1_200) });
      await container.begun();
      const preStop = container.exec([agent, "stop", "--wait"]);
      await container.printed("told by SIGTERM");
      await container.signal("TERM");
      // 137 when the end of the container meets the command, its answer read, on its way out.
      expect([0, 137]).toContain((await preStop).status);
      expect(await container.ended()).toBe(0);
      expect((await container.output()).stdout).toBe("ready\ntold by SIGTERM\n");
      // Each of the two gets a receipt for its own operation, and both are of the same stop.
      const receipts = await container.receipts();
      expect(receipts.map(({ outcome }) => outcome)).toEqual(receipts.map(() => "graceful"));
      expect(new Set(receipts.map(({ timings }) => timings.signalledAt)).size).toBe(1);
    });

    it("case 42: during a preStop command the agent does not end, so that a platform would not start it anew", async () => {
      const container = await bed.run({ command: takes(300) });
      await container.begun();
      expect((await container.exec([agent, "stop", "--wait"])).status).toBe(0);
      expect(await container.isRunning()).toBe(true);
      await container.signal("TERM");
      expect(await container.ended()).toBe(0);
    });

    it("case 48: stops with proof as an ordinary user, on a read-only root, without a shell, ps or capabilities", async () => {
      const container = await bed.run(hardened);
      await container.printed("ready");
      await container.stop(20);
      expect(await container.ended()).toBe(0);
      expect(await container.receipts()).toMatchObject([graceful]);
    });

    it("case 48: where /proc hides processes the receipt says unknown, and why", async () => {
      const podman = [...hardened.podman, "--security-opt", "proc-opts=hidepid=2"];
      const container = await bed.run({ ...hardened, podman });
      await container.begun();
      const stop = await container.exec(["/opt/baton/node", agent, "stop", "--wait"]);
      expect(stop.status).not.toBe(0);
      const [receipt] = await container.receipts();
      expect(receipt).toMatchObject({ outcome: "unknown", evidence: { treeGone: false } });
      expect(receipt?.evidence.remaining.join()).toContain("hidepid");
    });

    it("case 48: refuses to start where it could record no stop, and says where", async () => {
      const podman = ["--read-only"];
      const options = ["--state-directory", "/var/lib/elsewhere"];
      const container = await bed.run({ user: 1_000, command: takes(0), podman, options });
      expect(await container.ended()).not.toBe(0);
      const { stdout, stderr } = await container.output();
      expect(stdout).toBe("");
      expect(stderr).toContain("/var/lib/elsewhere");
    });

    it("case 48: leaves the receipt where the platform looks for a last word, within its 4096 bytes", async () => {
      const lastWord = join(await bed.directory(), "termination-log");
      await writeFile(lastWord, "", { mode: 0o666 });
      await chmod(lastWord, 0o666);
      const podman = ["--volume", `${lastWord}:/dev/termination-log`];
      const container = await bed.run({ user: 1_000, command: takes(0), podman });
      await container.printed("ready");
      await container.stop(20);
      const [receipt] = await container.receipts();
      const content = await readFile(lastWord, "utf8");
      expect(Buffer.byteLength(content)).toBeLessThanOrEqual(4_096);
      expect(JSON.parse(content)).toMatchObject({
        key: receipt?.key,
        outcome: "graceful",
        evidenceClass: "proven",
      });
    });

    it("case 51: the container's exit status is what a Job wants to see", async () => {
      const options = ["--graceful-exit-code", "143", "--map-exit-code", "143:0"];
      const container = await bed.run({ options, command: takes(0, 143) });
      await container.begun();
      expect((await container.exec([agent, "stop", "--wait"])).status).toBe(0);
      await container.signal("TERM");
      expect(await container.ended()).toBe(0);
      expect(await container.receipts()).toMatchObject([{ outcome: "graceful", exit: { code: 143 } }]);
    });
  },
);
