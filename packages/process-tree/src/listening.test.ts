import { existsSync } from "node:fs";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Listening } from "./fixtures/listener.ts";
import { lookAsUser, NOBODY } from "./fixtures/look.ts";
import { rootOnly } from "./fixtures/root-only.ts";
import { endFixtures, startNode, startProgram, until } from "./fixtures/start-fixture.ts";
import type { Fixture } from "./fixtures/start-fixture.ts";
import { releasedListening } from "./listening.ts";
import type { ListeningRelease } from "./listening.ts";
import { observeListening } from "./observe-listening.ts";
import type { ListeningWatch } from "./observe-listening.ts";
import { isAlive } from "./process-identity.ts";
import type { ProcessIdentity } from "./process-identity.ts";
import { readSocketTable } from "./socket-table.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "process-tree-"));
});

afterEach(async () => {
  await endFixtures();
  await rm(folder, { recursive: true });
});

const loopback = { port: 0, host: "127.0.0.1" };

async function start(listening: Listening): Promise<Fixture> {
  const fixture = await startNode("listener.ts", JSON.stringify(listening));
  await fixture.find("listener");
  return fixture;
}

async function kill(identity: ProcessIdentity): Promise<void> {
  process.kill(identity.pid, "SIGKILL");
  await until(async () => !(await isAlive(identity)), "the process is dead");
}

/** Sockets end a moment after their last holder does, so the answer is asked for until it is as it should be. */
async function expectState(
  watch: ListeningWatch,
  state: ListeningRelease["state"],
): Promise<ListeningRelease> {
  let release = await releasedListening(watch);
  await until(async () => (release = await releasedListening(watch)).state === state, `it is ${state}`);
  return release;
}

function portOf({ sockets: [socket] }: ListeningWatch): number {
  return Number(socket?.name.split(":").at(-1));
}

describe("observeListening", () => {
  it("watches what the tree listens on over TCP, UDP and unix sockets, and nothing of a stranger", async () => {
    await start({ tcp: [loopback] });
    const path = join(folder, "a.sock");
    const { root } = await start({ tcp: [loopback, { path }], udp: "127.0.0.1" });
    const { sockets, extent } = observeListening({ members: [root] });
    expect(extent).toBe("exact");
    expect(sockets.map(({ name }) => name).toSorted()).toEqual([
      expect.stringMatching(/^tcp 127\.0\.0\.1:\d+$/),
      expect.stringMatching(/^udp 127\.0\.0\.1:\d+$/),
      `unix ${path}`,
    ]);
  });

  it.runIf(Object.values(networkInterfaces()).some((all) => all?.some(({ family }) => family === "IPv6")))(
    "watches IPv6 and IPv4 within it",
    async () => {
      const { root } = await start({
        tcp: [
          { port: 0, host: "::1" },
          { port: 0, host: "::ffff:127.0.0.1" },
        ],
        udp: "::1",
      });
      expect(
        observeListening({ members: [root] })
          .sockets.map(({ name }) => name.replace(/\d+$/, ""))
          .toSorted(),
      ).toEqual(["tcp [::1]:", "tcp [::ffff:127.0.0.1]:", "udp [::1]:"]);
    },
  );
});

describe("releasedListening", () => {
  it("is free once the tree is gone, though a unix socket's file is left", async () => {
    const path = join(folder, "a.sock");
    const { root } = await start({ tcp: [loopback, { path }], udp: "127.0.0.1" });
    const watch = observeListening({ members: [root] });
    await kill(root);
    const release = await expectState(watch, "free");
    expect(release.watched).toEqual(watch.sockets.map(({ name }) => name));
    expect(existsSync(path)).toBe(true);
  });

  it("is held while the tree lives", async () => {
    const { root } = await start({ tcp: [loopback] });
    const watch = observeListening({ members: [root] });
    expect(await releasedListening(watch)).toMatchObject({ state: "held", by: [root] });
  });

  it("names an orphan that inherited the sockets, and is free once it is dead", async () => {
    const { root, find } = await start({ tcp: [loopback, { path: join(folder, "a.sock") }], heir: true });
    const heir = await find("heir");
    const watch = observeListening({ members: [root] });
    await kill(root);
    const names = watch.sockets.map(({ name }) => name);
    expect(names).toHaveLength(2);
    expect(await releasedListening(watch)).toEqual({
      state: "held",
      by: [{ ...heir, comm: "sleep", sockets: names }],
      reasons: names.map((name) => `process ${heir.pid} (sleep) still holds ${name}`),
      watched: names,
    });
    await kill(heir);
    await expectState(watch, "free");
  });

  it("does not mind a stranger that takes the same port right after", async () => {
    const { root } = await start({ tcp: [loopback] });
    const watch = observeListening({ members: [root] });
    await kill(root);
    const stranger = await start({ tcp: [{ ...loopback, port: portOf(watch) }] });
    expect(portOf(observeListening({ members: [stranger.root] }))).toBe(portOf(watch));
    expect(await releasedListening(watch)).toMatchObject({ state: "free" });
  });

  it("does not mind a twin of another tree on the same port", async () => {
    const { root } = await start({ tcp: [{ ...loopback, reusePort: true }] });
    const watch = observeListening({ members: [root] });
    await start({ tcp: [{ ...loopback, port: portOf(watch), reusePort: true }] });
    await kill(root);
    await expectState(watch, "free");
  });

  it("does not mind connections of the port in TIME_WAIT", async () => {
    const { root } = await start({ tcp: [loopback] });
    const watch = observeListening({ members: [root] });
    const port = portOf(watch);
    // The server closes first, so it is the one that waits.
    const client = connect({ port, host: "127.0.0.1" });
    client.resume();
    const isWaiting = (): boolean =>
      readSocketTable("self", ["tcp"]).some(
        (row) => row.protocol === "tcp" && row.local.port === port && row.state === "TIME_WAIT",
      );
    await until(isWaiting, "the connection is in TIME_WAIT");
    await kill(root);
    await expectState(watch, "free");
    expect(isWaiting()).toBe(true);
  });

  it("is unknown where there was no process to look at", async () => {
    expect(await releasedListening(observeListening({ members: [] }))).toMatchObject({
      state: "unknown",
      reasons: [expect.stringContaining("no process was left")],
    });
  });

  it("does not take a socket in another network namespace for free", rootOnly, async () => {
    const listener = new URL("fixtures/listener.ts", import.meta.url).pathname;
    const { root, find } = await startProgram(
      "unshare",
      ["--net", process.execPath, listener, JSON.stringify({ tcp: [{ port: 0, host: "0.0.0.0" }] })],
      {},
    );
    await find("listener");
    const watch = observeListening({ members: [root] });
    expect(watch.sockets).toMatchObject([{ name: expect.stringContaining("tcp 0.0.0.0:"), elsewhere: true }]);
    expect(await releasedListening(watch)).toMatchObject({ state: "held", by: [root] });
    await kill(root);
    expect(await releasedListening(watch)).toMatchObject({
      state: "unknown",
      reasons: [expect.stringContaining("another network namespace")],
    });
  });
});

/** Other users' processes can only be had by root. */
describe("where it cannot be seen what members hold", rootOnly, () => {
  const observeAsNobody = async (
    options: Parameters<typeof observeListening>[0],
  ): Promise<ListeningWatch> => {
    const { value, error } = await lookAsUser({ uid: NOBODY, observe: options });
    if (error !== undefined) throw new Error(error.message);
    return value as ListeningWatch;
  };
  const namesOf = ({ sockets }: ListeningWatch): readonly string[] => sockets.map(({ name }) => name);

  it("watches everything that nobody else is known to hold", async () => {
    const { root } = await start({ tcp: [loopback, { path: join(folder, "a.sock") }] });
    const exact = observeListening({ members: [root] });
    const watch = await observeAsNobody({ members: [root] });
    expect(watch.extent).toBe("all");
    expect(namesOf(watch)).toEqual(expect.arrayContaining([...namesOf(exact)]));
    await kill(root);
    const own = { ...watch, sockets: watch.sockets.filter(({ name }) => namesOf(exact).includes(name)) };
    await expectState(own, "free");
  });

  it("leaves out what outsiders hold that can be read, and what is older than the tree", async () => {
    const { root } = await start({ tcp: [loopback] });
    const outsider = await startProgram(
      process.execPath,
      [
        "-e",
        'require("net").createServer().listen(0, "127.0.0.1", () => console.log("listener " + process.pid))',
      ],
      { uid: NOBODY, gid: NOBODY },
    );
    await outsider.find("listener");
    const [name = ""] = namesOf(observeListening({ members: [outsider.root] }));
    const younger = String(BigInt(outsider.root.startTime) + 1n);
    expect(namesOf(await observeAsNobody({ members: [root] }))).toContain(name);
    expect(namesOf(await observeAsNobody({ members: [root], outsiders: [outsider.root] }))).not.toContain(
      name,
    );
    expect(namesOf(await observeAsNobody({ members: [root], since: younger }))).not.toContain(name);
  });

  it("leaves out other users' sockets when the tree can provably not change its user", async () => {
    const { root } = await start({ tcp: [loopback, { path: join(folder, "a.sock") }] });
    await chmod(folder, 0o755);
    const names = namesOf(observeListening({ members: [root] }));
    const watch = await observeAsNobody({ members: [root], noNewPrivileges: true });
    for (const name of names) expect(namesOf(watch)).not.toContain(name);
  });

  it("is unknown when a socket stays and nobody is seen to hold it", async () => {
    const { root, find } = await start({ tcp: [loopback], heir: true });
    const heir = await find("heir");
    const watch = observeListening({ members: [root] });
    await kill(root);
    const { value } = await lookAsUser({ uid: NOBODY, release: watch });
    expect(value).toMatchObject({
      state: "unknown",
      reasons: [expect.stringContaining("is still there, and nobody is seen to hold it (not to be read:")],
    });
    expect(await releasedListening(watch)).toMatchObject({ state: "held", by: [heir] });
  });
});
