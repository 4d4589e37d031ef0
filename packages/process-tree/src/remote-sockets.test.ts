import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import { networkInterfaces } from "node:os";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { lookAsUser, NOBODY } from "./fixtures/look.ts";
import { rootOnly } from "./fixtures/root-only.ts";
import { endFixtures, startNode, until } from "./fixtures/start-fixture.ts";
import type { Fixture } from "./fixtures/start-fixture.ts";
import { identify, isAlive } from "./process-identity.ts";
import type { ProcessIdentity } from "./process-identity.ts";
import { drainedRemote, observeRemote } from "./remote-sockets.ts";
import type { RemoteDrain, RemoteWatch } from "./remote-sockets.ts";
import type { Endpoint } from "./socket-address.ts";

/** More than the kernel holds for both ends together. */
const MUCH = 32 * 1024 * 1024;

let server: Server;
let store: Endpoint;
let accepted: Socket[];
let self: ProcessIdentity;

beforeEach(async () => {
  accepted = [];
  // A store that reads when it is told to, and never closes first.
  server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
    socket.on("error", () => undefined);
    accepted.push(socket);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  store = { address: "127.0.0.1", port: (server.address() as AddressInfo).port };
  const identity = await identify(process.pid);
  if (identity === null) throw new Error("cannot find myself");
  self = identity;
});

afterEach(async () => {
  await endFixtures();
  for (const socket of accepted) socket.destroy();
  server.close();
});

async function startClient(bytes: number, ...heir: "heir"[]): Promise<Fixture> {
  const fixture = await startNode("client.ts", store.address, String(store.port), String(bytes), ...heir);
  await fixture.find("client");
  await until(() => accepted.length > 0, "the store has accepted");
  return fixture;
}

async function kill(identity: ProcessIdentity): Promise<void> {
  process.kill(identity.pid, "SIGKILL");
  await until(async () => !(await isAlive(identity)), "the process is dead");
}

const look = (watch: RemoteWatch): RemoteDrain => drainedRemote(watch, { exclude: [self] });
const observe = (...members: ProcessIdentity[]): RemoteWatch => observeRemote({ members, remotes: [store] });

describe("drainedRemote", () => {
  it("sees bytes that the kernel still sends for a dead client, until the store has read them", async () => {
    const { root } = await startClient(MUCH);
    const watch = observe(root);
    expect(look(watch).state).toBe("live");
    await kill(root);
    expect(look(watch)).toEqual({
      state: "draining",
      reasons: [
        expect.stringMatching(/^the kernel still sends on tcp .* \(FIN_WAIT1, \d+ bytes not acknowledged\)$/),
      ],
    });
    for (const socket of accepted) socket.resume();
    await until(() => look(watch).state === "drained", "the store has read on");
  });

  it("is drained once the store has acknowledged everything, though it has not closed", async () => {
    const { root } = await startClient(100);
    const watch = observe(root);
    for (const socket of accepted) socket.resume();
    await kill(root);
    await until(() => look(watch).state === "drained", "all is acknowledged");
    expect(accepted.every((socket) => socket.writable)).toBe(true);
  });

  it("sees somebody who inherited the connection and can write on", async () => {
    const { root, find } = await startClient(0, "heir");
    const heir = await find("heir");
    const watch = observe(root);
    await kill(root);
    expect(look(watch)).toEqual({
      state: "live",
      reasons: [
        expect.stringMatching(/^somebody still holds tcp 127.0.0.1:\d+ to 127.0.0.1:\d+ \(ESTABLISHED/),
      ],
    });
    await kill(heir);
    await until(() => look(watch).state === "drained", "the connection is closed");
  });

  it("leaves strangers' connections alone, and those to another remote", async () => {
    const { root } = await startClient(0);
    const stranger = await startClient(0);
    const watch = observe(root);
    const elsewhere = observeRemote({ members: [root], remotes: [{ ...store, address: "127.0.0.2" }] });
    expect(look(elsewhere)).toEqual({ state: "drained" });
    await kill(root);
    await until(() => look(watch).state === "drained", "the connection is closed");
    expect(await isAlive(stranger.root)).toBe(true);
  });

  it("does not count our own connections", async () => {
    const own = connect({ port: store.port, host: store.address });
    await once(own, "connect");
    try {
      const watch = observe();
      expect(look(watch)).toEqual({ state: "drained" });
      expect(drainedRemote(watch, { exclude: [] })).toMatchObject({
        state: "unknown",
        reasons: [expect.stringContaining("no process was left to see what it was connected to")],
      });
    } finally {
      own.destroy();
    }
  });

  it.runIf(Object.values(networkInterfaces()).some((all) => all?.some(({ family }) => family === "IPv6")))(
    "knows a remote that is reached through an IPv6 socket",
    async () => {
      const { root, find } = await startNode("client.ts", "::ffff:127.0.0.1", String(store.port), "0");
      await find("client");
      expect(look(observe(root))).toMatchObject({
        state: "live",
        reasons: [expect.stringContaining(`to [::ffff:127.0.0.1]:${store.port}`)],
      });
    },
  );

  it(
    "is unknown while there is a connection that may be of a member which cannot be read",
    rootOnly,
    async () => {
      const { root } = await startClient(0);
      const remote = { members: [root], remotes: [store] };
      const { value } = await lookAsUser({ uid: NOBODY, remote });
      expect(value).toMatchObject({
        state: "unknown",
        reasons: [
          expect.stringContaining(`may be the tree's: it could not be read what process ${root.pid}`),
        ],
      });
      const foreign = await lookAsUser({ uid: NOBODY, remote: { ...remote, noNewPrivileges: true } });
      expect(foreign.value).toEqual({ state: "drained" });
    },
  );

  it("refuses a remote that is no IP address", () => {
    expect(() => observeRemote({ members: [], remotes: [{ address: "store.example", port: 1 }] })).toThrow(
      TypeError,
    );
  });
});
