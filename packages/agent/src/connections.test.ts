import type { SocketRow } from "@baton/process-tree";
import { describe, expect, it } from "vitest";
import { clientsOf } from "./connections.ts";

type Row = Extract<SocketRow, { protocol: "tcp" | "udp" }>;

const row = (inode: string, state: Row["state"], local: number, remote: number): Row => ({
  protocol: "tcp",
  local: { address: "127.0.0.1", port: local },
  remote: { address: "127.0.0.1", port: remote },
  state,
  uid: 0,
  inode,
  txQueue: 0,
});
const listening = row("10", "LISTEN", 80, 0);
const isHeld = (inode: string): boolean => ["10", "11", "12", "13"].includes(inode);

describe("the clients of a tree", () => {
  it("are those connected to its listening ports, accepted or not yet", () => {
    const table = [listening, row("11", "ESTABLISHED", 80, 5000), row("0", "ESTABLISHED", 80, 5001)];
    expect(clientsOf(table, isHeld)).toBe(2);
  });

  it("are not the tree's own connections elsewhere, closing ones, or those to a stranger on another port", () => {
    const table = [
      listening,
      row("12", "ESTABLISHED", 6000, 443),
      row("11", "FIN_WAIT2", 80, 5000),
      row("99", "ESTABLISHED", 81, 5000),
    ];
    expect(clientsOf(table, isHeld)).toBe(0);
  });

  it("are not processes of the tree that talk to each other", () => {
    const table = [listening, row("11", "ESTABLISHED", 80, 7000), row("13", "ESTABLISHED", 7000, 80)];
    expect(clientsOf(table, isHeld)).toBe(0);
  });

  it("are nobody where the tree does not listen", () => {
    expect(clientsOf([row("99", "LISTEN", 80, 0), row("0", "ESTABLISHED", 80, 5000)], isHeld)).toBe(0);
  });
});
