import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { AddressInfo, ListenOptions } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { rootOnly } from "./fixtures/root-only.ts";
import { endFixtures, startProgram, until } from "./fixtures/start-fixture.ts";
import { identify } from "./process-identity.ts";
import { nameSocket, parseInet, parseUnix, readSocketTable, union } from "./socket-table.ts";
import type { InetSocket } from "./socket-table.ts";

const closing: (() => void)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0)) close();
  await endFixtures();
});

async function listen(options: ListenOptions): Promise<number> {
  const server = createServer((socket) => closing.push(() => socket.destroy())).listen(options);
  closing.push(() => server.close());
  await once(server, "listening");
  const address = server.address() as AddressInfo | string;
  return typeof address === "string" ? 0 : address.port;
}

const HEADER =
  "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
const ROW =
  "   0: 0100007F:18EB 00000000:0000 0A 00000000:00000005 00:00000000 00000000  1000        0 4711 1 0000000084 100\n";

describe("readSocketTable", () => {
  it("finds both ends of a connection and its listener", async () => {
    const port = await listen({ port: 0, host: "127.0.0.1" });
    const client = connect({ port, host: "127.0.0.1" });
    closing.push(() => client.destroy());
    await once(client, "connect");
    const { localPort = 0 } = client;
    const server = { address: "127.0.0.1", port };
    const uid = process.getuid?.();
    const rows = readSocketTable("self", ["tcp"]);
    expect(rows).toContainEqual({
      protocol: "tcp",
      local: server,
      remote: { address: "0.0.0.0", port: 0 },
      state: "LISTEN",
      uid,
      inode: expect.stringMatching(/^[1-9]\d*$/),
      txQueue: 0,
    });
    expect(rows).toContainEqual({
      protocol: "tcp",
      local: { address: "127.0.0.1", port: localPort },
      remote: server,
      state: "ESTABLISHED",
      uid,
      inode: expect.stringMatching(/^[1-9]\d*$/),
      txQueue: 0,
    });
  });

  it("finds unix sockets, by path or in the abstract namespace", async () => {
    const path = join(tmpdir(), `${randomUUID()} with blanks.sock`);
    const name = randomUUID();
    await listen({ path });
    await listen({ path: `\0${name}` });
    const names = readSocketTable("self", ["unix"])
      .filter((row) => row.protocol === "unix" && row.accepting)
      .map(nameSocket);
    expect(names).toContain(`unix ${path}`);
    expect(names.some((text) => text.startsWith(`unix @${name}`))).toBe(true);
  });

  it("reads the namespace of the process that is asked for", rootOnly, async () => {
    const port = await listen({ port: 0, host: "127.0.0.1" });
    const { root } = await startProgram("unshare", ["--net", "sleep", "300"], {});
    const ports = (pid: number): readonly number[] =>
      readSocketTable(pid, ["tcp"]).map((row) => (row as InetSocket).local.port);
    expect(ports(process.pid)).toContain(port);
    await until(() => !ports(root.pid).includes(port), "the program is in a namespace of its own");
  });

  it("throws for a process that is gone", async () => {
    const { root } = await startProgram("sleep", ["300"], {});
    process.kill(root.pid, "SIGKILL");
    await until(async () => (await identify(root.pid)) === null, "the process is reaped");
    expect(() => readSocketTable(root.pid)).toThrow(`/proc/${root.pid}/net/tcp is not there`);
  });
});

describe("parseInet", () => {
  it("reads a row, and takes the backlog of a listener for no bytes", () => {
    expect(parseInet("tcp", HEADER + ROW)).toEqual([
      {
        protocol: "tcp",
        local: { address: "127.0.0.1", port: 6379 },
        remote: { address: "0.0.0.0", port: 0 },
        state: "LISTEN",
        uid: 1000,
        inode: "4711",
        txQueue: 0,
      },
    ]);
    expect(parseInet("tcp", HEADER + ROW.replace(" 0A 00000000:", " 04 00001000:"))).toMatchObject([
      { state: "FIN_WAIT1", txQueue: 4096 },
    ]);
  });

  it("throws for any line that it does not understand, and for a table without its header", () => {
    for (const text of [
      "",
      ROW,
      `${HEADER}\n`,
      HEADER + ROW + ROW.slice(0, 40),
      HEADER + ROW.replace(" 0A ", " 2A "),
      HEADER + ROW.replace("0100007F:", "0100007:"),
      HEADER + ROW.replace("4711", "x"),
    ]) {
      expect(() => parseInet("tcp", text)).toThrow("cannot read");
    }
  });
});

describe("parseUnix", () => {
  const header = "Num       RefCount Protocol Flags    Type St Inode Path\n";
  const row = "00000000da8daf87: 00000002 00000000 00010000 0001 01 1125";

  it("reads a path that holds newlines, without losing what comes after", () => {
    expect(parseUnix(`${header}${row} /run/a\nb\n${row.replace("1125", "1126")}\n`)).toEqual([
      { protocol: "unix", path: "/run/a\nb", accepting: true, inode: "1125" },
      { protocol: "unix", path: null, accepting: true, inode: "1126" },
    ]);
  });

  it("throws for what is no row", () => {
    for (const text of ["", row, `${header}x\n`, `${header}${row}\nx\n`])
      expect(() => parseUnix(text)).toThrow("cannot read a table of sockets");
  });
});

describe("union", () => {
  it("keeps what only one of two looks at a changing table saw", () => {
    const other = ROW.replace("4711", "4712").replace(":18EB", ":18EC");
    const inodes = union([HEADER + ROW, HEADER + other + ROW], (text) => parseInet("tcp", text)).map(
      ({ inode }) => inode,
    );
    expect(inodes.toSorted()).toEqual(["4711", "4712"]);
    expect(union([HEADER + ROW, HEADER], (text) => parseInet("tcp", text))).toHaveLength(1);
  });
});
