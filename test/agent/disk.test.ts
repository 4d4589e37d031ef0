import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { isRoot, root } from "./needs.ts";
import { readyAndWait, shell, until, useRunBed } from "./run-bed.ts";

const obeys = shell(`trap 'exit 0' TERM; ${readyAndWait}`);

describe("the agent's disk", { timeout: 180_000 }, () => {
  const bed = useRunBed();

  /** The state directory on a small file system of its own, seen by the agent and through /proc. */
  async function onSmallDisk(options: readonly string[] = []) {
    const mount = await mkdtemp(join(bed.directory(), "m-"));
    const agent = await bed.run({
      options,
      command: obeys,
      stateDirectory: join(mount, "s"),
      behind: [
        "unshare",
        "--mount",
        "sh",
        "-c",
        `mount -t tmpfs -o size=256k none ${mount} && exec "$@"`,
        "sh",
      ],
    });
    const inside = `/proc/${agent.child.pid}/root${mount}`;
    const fill = () => writeFile(join(inside, "filler"), Buffer.alloc(1 << 20)).catch(() => undefined);
    return { agent, inside, fill };
  }

  it(
    "case 38: a full disk does not keep the platform from stopping the application, and is told",
    { skip: !isRoot, meta: { needs: root } },
    async () => {
      const last = join(await mkdtemp(join(bed.directory(), "t-")), "last-word");
      const { agent, fill } = await onSmallDisk(["--termination-log", last, "--platform-grace-ms", "4000"]);
      await agent.printed("the agent listens");
      await agent.printed("ready");
      await fill();
      agent.signal("SIGTERM");
      await agent.ended();
      expect(agent.output()).toMatch(/cannot write the (journal|receipt)/);
      expect(agent.output()).toMatch(/ENOSPC/);
      expect(JSON.parse(await readFile(last, "utf8"))).toMatchObject({ outcome: "graceful" });
    },
  );

  it(
    "case 38: a disk that was full for a while delays the receipt, and does not lose it",
    { skip: !isRoot, meta: { needs: root } },
    async () => {
      const { agent, inside, fill } = await onSmallDisk([
        "--platform-grace-ms",
        "30000",
        "--after-exit",
        "stay",
      ]);
      await agent.printed("the agent listens");
      await agent.printed("ready");
      await fill();
      agent.signal("SIGTERM");
      await agent.printed("trying again");
      await rm(join(inside, "filler"));
      // The mount goes with the agent, so its files are read while it lives.
      await until("the receipt", async () => {
        const names = await readdir(join(inside, "s/receipts")).catch(() => ["gone"]);
        return names.some((name) => name.endsWith(".jws") || name === "gone");
      });
      expect(await agent.ended()).toBe(0);
      expect(agent.output()).toContain('"outcome":"graceful"');
    },
  );

  it(
    "case 38: a read-only state directory is refused at the start, in words",
    { skip: !isRoot, meta: { needs: root } },
    async () => {
      const mount = await mkdtemp(join(bed.directory(), "r-"));
      const agent = await bed.run({
        command: obeys,
        stateDirectory: mount,
        behind: ["unshare", "--mount", "sh", "-c", `mount -t tmpfs -o ro none ${mount} && exec "$@"`, "sh"],
      });
      expect(await agent.ended()).toBe(2);
      expect(agent.output()).toContain(`cannot use the state directory ${mount}: it takes no write (EROFS)`);
      expect(agent.output()).not.toMatch(/^ready/m);
    },
  );

  it(
    "case 38: a disk that is full at the start is refused, in words",
    { skip: !isRoot, meta: { needs: root } },
    async () => {
      const mount = await mkdtemp(join(bed.directory(), "f-"));
      const full = `mount -t tmpfs -o size=16k none ${mount} && { cat /dev/zero > ${mount}/filler 2>/dev/null; exec "$@"; }`;
      const agent = await bed.run({
        command: obeys,
        stateDirectory: join(mount, "state"),
        behind: ["unshare", "--mount", "sh", "-c", full, "sh"],
      });
      expect(await agent.ended()).not.toBe(0);
      expect(agent.output()).toMatch(/takes no write \(ENOSPC\)/);
      expect(agent.output()).not.toMatch(/^ready/m);
    },
  );

  it.each([
    ["journal", '{"version":1,"epo', "journal: it is not JSON"],
    ["journal", '{"version":0}', "journal: it was written by another version of the agent"],
    ["key.json", '{"kty":"OKP","d":"secret', "key.json: it is not JSON; a lost key needs a new placement"],
    ["key.json", '{"kty":"RSA","d":"secret"}', "key.json"],
  ])("case 38: a %s that is %s starts nothing and is named", async (name, content, words) => {
    const stateDirectory = await mkdtemp(join(bed.directory(), "b-"));
    await writeFile(join(stateDirectory, name), content);
    const agent = await bed.run({ command: obeys, stateDirectory });
    expect(await agent.ended()).toBe(1);
    expect(agent.output()).toContain(words);
    expect(agent.output()).not.toMatch(/^ready/m);
    // What is in a key file is nobody's business.
    expect(agent.output()).not.toContain("secret");
  });

  it("case 38: a torn lock and half-written files of a crash are nobody's", async () => {
    const stateDirectory = await mkdtemp(join(bed.directory(), "l-"));
    await mkdir(join(stateDirectory, "receipts"));
    for (const name of ["lock", "journal.tmp", "receipts/op.stop.1.jws.tmp"])
      await writeFile(join(stateDirectory, name), '{"pid":');
    const agent = await bed.run({ command: obeys, stateDirectory });
    await agent.printed("ready");
    agent.signal("SIGTERM");
    expect(await agent.ended()).toBe(0);
    expect(await agent.receipts()).toMatchObject([{ outcome: "graceful" }]);
  });

  it("case 38: a run of another boot is proven dead, its receipts are served, and a new run starts", async () => {
    const first = await bed.run({ command: obeys, options: ["--slot", "pod-1/app"] });
    await first.printed("ready");
    await first.listens();
    first.signal("SIGKILL");
    await first.ended();
    for (const { pid } of await first.tree()) process.kill(pid, "SIGKILL");
    const path = join(first.stateDirectory, "journal");
    const facts = JSON.parse(await readFile(path, "utf8")) as { run: { bootId: string } };
    facts.run.bootId = "00000000-0000-4000-8000-000000000000";
    await writeFile(path, JSON.stringify(facts));
    const second = await bed.run({
      command: obeys,
      options: ["--slot", "pod-1/app"],
      stateDirectory: first.stateDirectory,
    });
    await second.printed("ready");
    second.signal("SIGTERM");
    expect(await second.ended()).toBe(0);
    const { run } = JSON.parse(await readFile(path, "utf8")) as { run: { bootId: string } };
    expect(run.bootId).not.toBe(facts.run.bootId);
    expect(await second.receipts()).toMatchObject([{ outcome: "graceful" }]);
  });
});
