import { randomUUID } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { endFixtures, startFixture, startProgram, until } from "./fixtures/start-fixture.ts";
import { identify } from "./process-identity.ts";
import type { ProcessIdentity } from "./process-identity.ts";
import { readStat } from "./process-stat.ts";
import type { TreeScan } from "./scan-facts.ts";
import { scanTree } from "./scan-tree.ts";
import { signalProcess, signalTree } from "./signal-process.ts";
import { waitUntilGone } from "./wait-until-gone.ts";

let since: string | undefined;
let cookie: { name: string; value: string };

beforeEach(async () => {
  since = (await identify(process.pid))?.startTime;
  cookie = { name: "TREE_COOKIE", value: randomUUID() };
});

afterEach(endFixtures);

const within = (ms: number): number => performance.now() + ms;
/**
 * Nothing here is older than the test itself, and not every machine lets even root read what is. No fixture
 * changes its user, so what other users start meanwhile must not disturb.
 */
const scan = async (roots: readonly ProcessIdentity[]): Promise<TreeScan> =>
  scanTree({ cookie, roots, since, exclude: [process.pid], noNewPrivileges: true });
const scanned = (fields: Partial<TreeScan>): TreeScan => ({
  members: [],
  unreadable: [],
  settled: true,
  scannedAt: new Date().toISOString(),
  ...fields,
});

describe("waitUntilGone", () => {
  it("says gone once the last of the tree is", async () => {
    const { root, find } = await startFixture("daemon.sh", { [cookie.name]: cookie.value });
    const daemon = await find("daemon");
    const result = waitUntilGone({ scan, known: [root], deadlineAt: within(5_000) });
    await signalTree([root, daemon], "SIGTERM");
    expect(await result).toMatchObject({ gone: true, scan: { settled: true, members: [], unreadable: [] } });
  });

  it("names a daemon that outlives every known member", async () => {
    const { root, find } = await startFixture("daemon.sh", { [cookie.name]: cookie.value });
    const daemon = await find("daemon");
    await signalProcess(root, "SIGKILL");
    const result = await waitUntilGone({ scan, known: [root], deadlineAt: within(150) });
    expect(result).toMatchObject({ gone: false, remaining: [daemon], scan: { members: [daemon] } });
  });

  it("names a member that is stopped and cannot act on SIGTERM", async () => {
    const { root } = await startProgram("sleep", ["300"], { env: { [cookie.name]: cookie.value } });
    await signalProcess(root, "SIGSTOP");
    await until(async () => (await readStat(root.pid))?.state === "T", "the process is stopped");
    await signalProcess(root, "SIGTERM");
    const result = await waitUntilGone({ scan, known: [root], deadlineAt: within(150) });
    expect(result).toMatchObject({
      gone: false,
      remaining: [root],
      scan: { members: [{ ...root, state: "T" }] },
    });

    await signalProcess(root, "SIGCONT");
    expect(await waitUntilGone({ scan, known: [root], deadlineAt: within(5_000) })).toMatchObject({
      gone: true,
    });
  });

  it("counts a known member as there until it is dead, whatever a scan says", async () => {
    const { root: first } = await startProgram("sleep", ["300"], {});
    const { root: second } = await startProgram("sleep", ["300"], {});
    const blind = async (): Promise<TreeScan> => scanned({});
    await signalProcess(second, "SIGKILL");
    expect(
      await waitUntilGone({ scan: blind, known: [first, second], deadlineAt: within(100) }),
    ).toMatchObject({
      gone: false,
      remaining: [first],
    });
    await signalProcess(first, "SIGKILL");
    const result = await waitUntilGone({ scan: blind, known: [first, second], deadlineAt: within(5_000) });
    expect(result).toMatchObject({ gone: true });
  });

  it("looks exactly once when the deadline has passed", async () => {
    const answers = [scanned({}), scanned({ settled: false })];
    const next = async (): Promise<TreeScan> =>
      answers.shift() ?? (await Promise.reject(new Error("third look")));
    expect(await waitUntilGone({ scan: next, known: [], deadlineAt: within(-1) })).toMatchObject({
      gone: true,
    });
    expect(await waitUntilGone({ scan: next, known: [], deadlineAt: within(-1) })).toMatchObject({
      gone: false,
    });
  });

  it("does not take what cannot be read, or does not settle, for gone", async () => {
    const stranger = { pid: 7, startTime: "7", bootId: "x", comm: "x", uid: 0, reason: "EACCES" } as const;
    for (const doubt of [scanned({ unreadable: [stranger] }), scanned({ settled: false })]) {
      const result = await waitUntilGone({ scan: async () => doubt, known: [], deadlineAt: within(60) });
      expect(result).toEqual({ gone: false, remaining: [], scan: doubt });
    }
  });

  it("gives each scan every member seen before, dead or alive", async () => {
    const { root, find } = await startFixture("daemon.sh", { [cookie.name]: cookie.value });
    const daemon = await find("daemon");
    await signalProcess(root, "SIGKILL");
    const seen: number[][] = [];
    const result = waitUntilGone({
      scan: async (roots) => {
        seen.push(roots.map(({ pid }) => pid));
        const answer = await scan(roots);
        if (seen.length === 1) await signalProcess(daemon, "SIGKILL");
        return answer;
      },
      known: [root],
      deadlineAt: within(5_000),
    });
    expect(await result).toMatchObject({ gone: true });
    expect(seen[0]).toEqual([root.pid]);
    expect(seen.at(-1)).toEqual([root.pid, daemon.pid]);
  });

  it("passes on the failure of a scan, and the reason of an abort", async () => {
    const { root } = await startProgram("sleep", ["300"], { env: { [cookie.name]: cookie.value } });
    const failing = async (): Promise<TreeScan> => {
      throw new Error("cannot list");
    };
    const deadlineAt = within(5_000);
    await expect(waitUntilGone({ scan: failing, known: [], deadlineAt })).rejects.toThrow("cannot list");

    const reason = new Error("joined by another stop");
    const abort = new AbortController();
    const waiting = waitUntilGone({ scan, known: [root], deadlineAt, signal: abort.signal });
    abort.abort(reason);
    await expect(waiting).rejects.toBe(reason);
  });

  it("refuses to wait without a deadline", async () => {
    for (const deadlineAt of [Number.NaN, Number.POSITIVE_INFINITY]) {
      await expect(waitUntilGone({ scan, known: [], deadlineAt })).rejects.toThrow(RangeError);
    }
  });
});
