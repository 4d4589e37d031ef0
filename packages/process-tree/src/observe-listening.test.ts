import { afterEach, describe, expect, it } from "vitest";
import { endFixtures, startFixture, startNode, until } from "./fixtures/start-fixture.ts";
import type { Fixture } from "./fixtures/start-fixture.ts";
import { releasedListening } from "./listening.ts";
import { observeListening } from "./observe-listening.ts";
import type { ListeningWatch } from "./observe-listening.ts";
import { isAlive } from "./process-identity.ts";
import type { ProcessIdentity } from "./process-identity.ts";
import { scanTree } from "./scan-tree.ts";
import { signalTree } from "./signal-process.ts";

afterEach(endFixtures);

/** More processes than are looked at one by one. */
const MANY = 110;

async function crowd(): Promise<readonly ProcessIdentity[]> {
  const { root, find } = await startFixture("crowd.sh", {}, String(MANY));
  await find("crowd");
  const cookie = { name: "TREE_COOKIE", value: "borne-by-nobody" };
  const { members } = await scanTree({
    cookie,
    roots: [root],
    since: root.startTime,
    exclude: [process.pid],
    noNewPrivileges: true,
  });
  expect(members).toHaveLength(MANY + 1);
  return members;
}

async function listen(heir = false): Promise<Fixture> {
  const listening = JSON.stringify({ tcp: [{ port: 0, host: "127.0.0.1" }], heir });
  const fixture = await startNode("listener.ts", listening);
  await fixture.find("listener");
  return fixture;
}

async function kill(members: readonly ProcessIdentity[]): Promise<void> {
  await signalTree(members, "SIGKILL");
  for (const member of members) await until(async () => !(await isAlive(member)), "the process is dead");
}

const namesOf = ({ sockets }: ListeningWatch): readonly string[] => sockets.map(({ name }) => name);

describe("observeListening, of a tree of many", () => {
  it("watches what the youngest listens on, and knows of an orphan that keeps it", async () => {
    const others = await crowd();
    const { root, find } = await listen(true);
    const heir = await find("heir");
    const members = [...others, root];
    const [name = ""] = namesOf(observeListening({ members: [root] }));
    const watch = observeListening({ members, since: others[0]?.startTime });
    expect(namesOf(watch)).toContain(name);
    await kill(members);
    expect(await releasedListening(watch)).toMatchObject({
      state: "held",
      by: expect.arrayContaining([{ ...heir, comm: "sleep", sockets: [name] }]),
    });
    await kill([heir]);
    await until(async () => (await releasedListening(watch)).state === "free", "the socket is closed");
  });

  it("does not count what a stranger listens on, younger than the tree or older", async () => {
    const older = await listen();
    const members = await crowd();
    const younger = await listen();
    const [olderName = "", youngerName = ""] = [older, younger].map(
      ({ root }) => namesOf(observeListening({ members: [root] }))[0],
    );
    const watch = observeListening({ members, since: members[0]?.startTime });
    expect(namesOf(watch)).not.toContain(olderName);
    expect(namesOf(watch)).not.toContain(youngerName);
    await kill(members);
    await until(async () => (await releasedListening(watch)).state === "free", "nothing of the tree is left");
  });

  it("takes the socket of one that nobody can be asked about for perhaps its own, until it is seen by whom it is held", async () => {
    const stranger = await listen();
    const members = await crowd();
    const [socket] = observeListening({ members: [stranger.root] }).sockets;
    if (socket === undefined) throw new Error("cannot see the stranger's socket");
    const perhaps = { ...socket, certain: false };
    await kill(members);
    // Held by a process that is older than the tree: never the tree's.
    const old: ListeningWatch = { sockets: [perhaps], extent: "all", since: members[0]?.startTime };
    expect(BigInt(stranger.root.startTime)).toBeLessThan(BigInt(old.since ?? 0));
    expect(await releasedListening(old)).toEqual({ state: "free", watched: [] });
    // Held by one that may be of the tree, for all that its age says.
    const young: ListeningWatch = { ...old, since: stranger.root.startTime };
    expect(await releasedListening(young)).toMatchObject({ state: "held", by: [stranger.root] });
  });
});
