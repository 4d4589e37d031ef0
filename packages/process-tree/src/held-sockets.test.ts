import { afterEach, describe, expect, it } from "vitest";
import { endFixtures, startNode, startProgram, until } from "./fixtures/start-fixture.ts";
import { heldSockets } from "./held-sockets.ts";
import { identify } from "./process-identity.ts";
import { readSocketTable } from "./socket-table.ts";

afterEach(endFixtures);

const listening = JSON.stringify({ tcp: [{ port: 0, host: "127.0.0.1" }], heir: true });

describe("heldSockets", () => {
  it("says of a shared socket everybody who holds it", async () => {
    const { root, find } = await startNode("listener.ts", listening);
    await find("listener");
    const heir = await find("heir");
    const stranger = await startProgram("sleep", ["300"], {});
    const { holders, unreadable } = heldSockets([root, heir, stranger.root]);
    expect(unreadable).toEqual([]);
    const shared = [...holders].filter(([, identities]) => identities.length > 1);
    expect(shared).toEqual([[expect.any(String), [root, heir]]]);
    const row = readSocketTable().find(({ inode }) => inode === shared[0]?.[0]);
    expect(row).toMatchObject({ protocol: "tcp", state: "LISTEN" });
  });

  it("finds nothing in hands of one that is gone, nor of a stranger that was given the number", async () => {
    const { root, find } = await startNode("listener.ts", listening);
    await find("listener");
    const former = { ...root, startTime: String(BigInt(root.startTime) - 1n) };
    const nothing = { holders: new Map(), unreadable: [] };
    expect(heldSockets([former, { ...root, bootId: "another" }])).toEqual(nothing);
    process.kill(root.pid, "SIGKILL");
    await until(async () => (await identify(root.pid)) === null, "the process is reaped");
    expect(heldSockets([root])).toEqual(nothing);
  });
});
