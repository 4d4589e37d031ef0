import { setTimeout as delay } from "node:timers/promises";
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { type TestBed, createTestBed, query } from "../postgres/test-bed.fixture.ts";
import { type Replica, type ReplicaTimings, joinReplicas } from "./replica.ts";

const log = pino({ level: "silent" });
const usual: ReplicaTimings = { beat: 20, trusted: 500, silent: 1_000, answer: 2_000 };
/** Says nothing after its start, as a process that is paused. */
const paused: ReplicaTimings = { ...usual, beat: 60_000, trusted: 200, silent: 400 };
const patience = { timeout: 5_000, interval: 20 };

let bed: TestBed;
let url: string;
beforeAll(async () => {
  bed = await createTestBed();
  ({ url } = await bed.start());
  await query(
    url,
    "create schema dbos; create table dbos.workflow_status (workflow_uuid text, executor_id text, status text)",
  );
});
afterAll(() => bed.end());
beforeEach(() => query(url, "truncate dbos.workflow_status"));

const joined: Replica[] = [];
afterEach(async () => {
  for (const replica of joined.splice(0)) await replica.stop(async () => undefined);
});
async function join(timings = usual, onChange?: (operation: string | null) => void): Promise<Replica> {
  const replica = await joinReplicas({ databaseUrl: url, log, timings, onChange });
  joined.push(replica);
  return replica;
}

const leaveWork = (executor: string) =>
  query(url, `insert into dbos.workflow_status values (gen_random_uuid(), '${executor}', 'PENDING')`);
/** What DBOS does, in little. @returns whose work was taken over */
function recovering(replica: Replica): string[] {
  const recovered: string[] = [];
  void replica.takeOver(async (executor) => {
    recovered.push(executor);
    const rows = await query(
      url,
      `update dbos.workflow_status set status = 'ENQUEUED' where executor_id = '${executor}' and status = 'PENDING' returning 1`,
    );
    return rows.length;
  });
  return recovered;
}
const dropSessionsOf = (replica: Replica) =>
  query(
    url,
    `select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and
     (classid::bigint << 32 | objid::bigint) = ('x' || encode(substr(sha256('baton replica ${replica.executor}'), 1, 8), 'hex'))::bit(64)::bigint`,
  );
/** Whether it may work now. */
const mayWork = (replica: Replica) =>
  Promise.race([replica.tenure().then(() => true), delay(50).then(() => false)]);

describe("a replica", () => {
  it("has a name of its own, and works", async () => {
    const [a, b] = [await join(), await join()];
    expect(a.executor).not.toBe(b.executor);
    expect(await mayWork(a)).toBe(true);
  });

  it("takes over from one that is gone for good, one of all that look", async () => {
    await leaveWork("gone");
    const [a, b] = [await join(), await join()];
    const [byA, byB] = [recovering(a), recovering(b)];
    await vi.waitFor(() => expect(a.takeovers + b.takeovers).toBe(1), patience);
    expect([...byA, ...byB]).toContain("gone");
  });

  it("leaves alone who lives, and takes over as soon as it stops", async () => {
    const [a, b] = [await join(), await join()];
    await leaveWork(a.executor);
    const recovered = recovering(b);
    await delay(3 * usual.silent);
    expect(recovered).toEqual([]);
    await a.stop(async () => undefined);
    await vi.waitFor(() => expect(recovered).toEqual([a.executor]), patience);
  });

  it("that is paused stops counting itself as alive before anybody takes over", async () => {
    const [a, b] = [await join(paused), await join()];
    await leaveWork(a.executor);
    const recovered = recovering(b);
    await vi.waitFor(async () => expect(await mayWork(a)).toBe(false), patience);
    expect(recovered).toEqual([]);
    await vi.waitFor(() => expect(recovered).toEqual([a.executor]), patience);
  });

  it("that loses its session does nothing until it holds its lock again, and then knows that it was without", async () => {
    const a = await join();
    const before = await a.tenure();
    const lost = vi.waitFor(async () => expect(await a.tenure()).toBeGreaterThan(before), patience);
    await dropSessionsOf(a);
    await lost;
  });

  it("waits for its lock while another is taking over from it", async () => {
    const [a, b] = [await join(), await join()];
    await leaveWork(a.executor);
    const taking = Promise.withResolvers<number>();
    onTestFinished(() => taking.resolve(0));
    const begun = Promise.withResolvers<void>();
    void b.takeOver(async () => {
      begun.resolve();
      return taking.promise;
    });
    for (let tries = 0; tries < 20; tries += 1) {
      await dropSessionsOf(a);
      if (await Promise.race([begun.promise.then(() => true), delay(100).then(() => false)])) break;
    }
    await begun.promise;
    await vi.waitFor(async () => expect(await mayWork(a)).toBe(false), patience);
    await query(url, "truncate dbos.workflow_status");
    taking.resolve(1);
    await vi.waitFor(async () => expect(await mayWork(a)).toBe(true), patience);
  });

  it("does nothing any more once it stops, and keeps its lock until the rest has ended", async () => {
    const [a, b] = [await join(), await join()];
    await leaveWork(a.executor);
    const recovered = recovering(b);
    await a.stop(async () => {
      expect(await mayWork(a)).toBe(false);
      await delay(200);
      expect(recovered).toEqual([]);
    });
    await vi.waitFor(() => expect(recovered).toEqual([a.executor]), patience);
  });

  it("hears what others change, and that it may have missed something once it was without its session", async () => {
    const heard: (string | null)[] = [];
    const a = await join(usual, (operation) => heard.push(operation));
    await query(url, "select pg_notify('baton_operations', 'op_1')");
    await vi.waitFor(() => expect(heard).toEqual(["op_1"]), patience);
    await dropSessionsOf(a);
    await vi.waitFor(() => expect(heard).toEqual(["op_1", null]), patience);
    await query(url, "select pg_notify('baton_operations', 'op_2')");
    await vi.waitFor(() => expect(heard).toEqual(["op_1", null, "op_2"]), patience);
  });
});
