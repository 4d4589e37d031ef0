import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { needsContainers, useContainers } from "./container-bed.ts";
import { findPodman } from "./podman.ts";
import { removeLeftContainers } from "./run-label.ts";

const found = await findPodman();
const wait = ["/bin/sh", "-c", "echo begun; echo told >&2; exec sleep 60"];

describe("a container for a test", { skip: found.missing !== null, meta: needsContainers(found) }, () => {
  const bed = useContainers(found);

  it("is a real one: PID 1, output, commands in it, signals from outside, exit status", async () => {
    const container = await bed.run({ command: [], entrypoint: ["/opt/baton/tini", "--", ...wait] });
    await container.printed("told");
    expect(await container.output()).toEqual({ stdout: "begun\n", stderr: "told\n" });
    expect(await readFile(`/proc/${await container.pid()}/comm`, "utf8")).toBe("tini\n");
    const inside = ["sh", "-c", "cat /proc/1/comm; echo oops >&2; exit 3"];
    expect(await container.exec(inside)).toEqual({ status: 3, stdout: "tini\n", stderr: "oops\n" });
    await container.signal("TERM");
    expect(await container.ended()).toBe(143);
    expect(await container.isRunning()).toBe(false);
  });

  it("starts again in place, with its output and its state directory", async () => {
    const command = ["/bin/sh", "-c", "echo life >>/var/lib/baton/lives; exec cat /var/lib/baton/lives"];
    const container = await bed.run({ command: [], entrypoint: command });
    expect(await container.ended()).toBe(0);
    await writeFile(join(container.stateDirectory, "lives"), "other\n");
    await container.start();
    expect(await container.ended()).toBe(0);
    expect((await container.output()).stdout).toBe("life\nother\nlife\n");
  });

  it("sees the processes of its pod, and pod's PID 1 is nobody's application", async () => {
    const pod = await bed.pod();
    const container = await pod.run({ command: [], entrypoint: wait });
    const other = await pod.run({ command: [], entrypoint: wait, user: 1_000 });
    await Promise.all([container.printed("told"), other.printed("told")]);
    const list = "for f in /proc/[0-9]*/comm; do read -r name <$f && echo $name; done";
    const { stdout } = await container.exec(["sh", "-c", list]);
    expect(stdout.split("\n").toSorted()).toEqual(["", "catatonit", "sh", "sleep", "sleep"]);
  });

  it("is removed when the test process that started it is gone, and only then", async () => {
    const run = ["run", "--detach", "--network", "none", "--entrypoint", "[]"];
    const left = "baton.test-run=1:1:00000000-0000-0000-0000-000000000000";
    const orphan = await bed.podman.read([...run, "--label", left, bed.images.withNode, ...wait]);
    const ours = await bed.run({ command: [], entrypoint: wait });
    await removeLeftContainers(bed.podman);
    expect((await bed.podman.execute(["container", "exists", orphan])).status).toBe(1);
    expect(await ours.isRunning()).toBe(true);
  });

  it("holds the agent of this checkout, in each image", async () => {
    for (const image of ["agent", "withNode", "withoutNode"] as const) {
      const entrypoint = ["/opt/baton/tini", "-s", "--", "/opt/baton/baton-agent", "--version"];
      const container = await bed.run({
        image,
        command: [],
        entrypoint,
        user: 65_532,
        podman: ["--read-only"],
      });
      expect(await container.ended()).toBe(0);
      expect((await container.output()).stdout).toBe("0.1.0\n");
    }
  });
});
