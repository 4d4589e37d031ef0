import { afterEach, describe, expect, it } from "vitest";
import { lookAsUser, NOBODY } from "./fixtures/look.ts";
import { rootOnly } from "./fixtures/root-only.ts";
import { endFixtures, startProgram } from "./fixtures/start-fixture.ts";
import type { ProcessIdentity } from "./process-identity.ts";
import type { ScanTreeOptions, TreeScan, UnreadableProcess } from "./scan-facts.ts";

afterEach(endFixtures);

const options = (stranger: ProcessIdentity): ScanTreeOptions => ({
  cookie: { name: "TREE_COOKIE", value: "borne-by-nobody" },
  roots: [],
  since: stranger.startTime,
  exclude: [],
});

async function unreadableFor(
  uid: number,
  scan: ScanTreeOptions,
  ...starter: string[]
): Promise<readonly UnreadableProcess[]> {
  const { value, error } = await lookAsUser({ uid, scan }, ...starter);
  if (error !== undefined) throw new Error(error.message);
  return (value as TreeScan).unreadable;
}

/** Other users' processes can only be had by root. */
describe("scanTree, where environments cannot be read", rootOnly, () => {
  it("reports a process of another user that is young enough to belong", async () => {
    const { root } = await startProgram("sleep", ["300"], {});
    const unreadable = await unreadableFor(NOBODY, options(root));
    expect(unreadable).toContainEqual({ ...root, comm: "sleep", uid: 0, reason: "EACCES" });
  });

  it("leaves out what is older than the tree, excluded, or found by kinship", async () => {
    const { root } = await startProgram("sleep", ["300"], {});
    const pids = async (scan: Partial<ScanTreeOptions>): Promise<number[]> =>
      (await unreadableFor(NOBODY, { ...options(root), ...scan })).map(({ pid }) => pid);
    expect(await pids({ since: String(BigInt(root.startTime) + 1n) })).not.toContain(root.pid);
    expect(await pids({ exclude: [root.pid] })).not.toContain(root.pid);
    expect(await pids({ roots: [root] })).not.toContain(root.pid);
  });

  it("leaves out other users' processes when the tree can provably not change its user", async () => {
    const { root } = await startProgram("sleep", ["300"], {});
    const unreadable = await unreadableFor(NOBODY, { ...options(root), noNewPrivileges: true });
    expect(unreadable.map(({ pid }) => pid)).not.toContain(root.pid);
  });

  it("reports them all the same when CAP_SETUID lets the tree change its user without new privileges", async () => {
    const { root } = await startProgram("sleep", ["300"], { uid: NOBODY });
    const scan = { ...options(root), noNewPrivileges: true };
    const withoutPtrace = ["setpriv", "--bounding-set", "-sys_ptrace,-perfmon,-sys_admin"];
    const unreadable = await unreadableFor(0, scan, ...withoutPtrace);
    expect(unreadable).toContainEqual({ ...root, comm: "sleep", uid: NOBODY, reason: "EACCES" });
  });

  it("reads everything as root", async () => {
    const { root } = await startProgram("sleep", ["300"], { uid: NOBODY });
    expect((await unreadableFor(0, options(root))).map(({ pid }) => pid)).not.toContain(root.pid);
  });

  it("throws where /proc hides the processes of others", async () => {
    const { root } = await startProgram("sleep", ["300"], {});
    const hidden = [
      "unshare",
      "--mount",
      "sh",
      "-c",
      'mount -t proc -o hidepid=2 proc /proc && exec "$0" "$@"',
    ];
    await expect(unreadableFor(NOBODY, options(root), ...hidden)).rejects.toThrow("/proc hides some");
    const { error } = await lookAsUser({ uid: NOBODY, signal: root }, ...hidden);
    expect(error?.message).toContain("it exists but /proc does not show it");
  });

  it("throws where /proc belongs to another pid namespace", async () => {
    const { root } = await startProgram("sleep", ["300"], {});
    const inside = ["unshare", "--pid", "--fork"];
    await expect(unreadableFor(0, options(root), ...inside)).rejects.toThrow("another pid namespace");
  });
});
