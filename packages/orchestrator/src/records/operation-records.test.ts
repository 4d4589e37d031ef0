import { EventEmitter } from "node:events";
import type { Operation } from "@baton/protocol";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { type RecordsBed, createSigner, openRecordsBed } from "../fixtures/records-bed.ts";
import { OperationRecords } from "./operation-records.ts";
import { StaleTerm } from "./stale-term.ts";

let bed: RecordsBed;
beforeAll(async () => {
  bed = await openRecordsBed();
});
afterAll(() => bed.end());

const reason = { code: "internal", detail: "it failed" };

async function migration(): Promise<Operation> {
  const { application } = await bed.deployed();
  return bed.insert({ kind: "migrate", application, to: "harbor-b" });
}

describe("commit and rollback", () => {
  it("exclude each other, whoever comes first", async () => {
    const ends = await Promise.all(
      Array.from({ length: 12 }, async (_, n) => {
        const { id, application, source, target } = await migration();
        const commit = () => bed.operations.commit(id, 2);
        const rollback = () => bed.operations.beginRollback(id, reason);
        const [first, second] = await Promise.all(
          n % 2 === 0 ? [commit(), rollback()] : [rollback(), commit()],
        );
        const [committed, answer] = n % 2 === 0 ? [first, second] : [second, first];
        const { placement, epoch } = await bed.placements.route(application);
        expect({ answer, placement, epoch }).toEqual(
          committed === true
            ? { answer: "committed", placement: target, epoch: 2 }
            : { answer: "rolling-back", placement: source, epoch: 1 },
        );
        return committed;
      }),
    );
    expect(ends).toHaveLength(12);
  });

  it("may be asked for again", async () => {
    const { id } = await migration();
    expect([await bed.operations.commit(id, 2), await bed.operations.commit(id, 2)]).toEqual([true, true]);
    expect(await bed.operations.beginRollback(id, reason)).toBe("committed");
    const other = await migration();
    expect(await bed.operations.beginRollback(other.id, reason)).toBe("rolling-back");
    expect(await bed.operations.beginRollback(other.id, reason)).toBe("rolling-back");
    expect(await bed.operations.commit(other.id, 2)).toBe(false);
  });
});

describe("the pivots of what starts nothing", () => {
  const begun = async (kind: "stop" | "delete") => {
    const { application } = await bed.deployed();
    return bed.insert({ kind, application });
  };

  it("leave a stopped application its placement, and no route", async () => {
    const { id, application, source } = await begun("stop");
    expect([await bed.operations.commitStop(id), await bed.operations.commitStop(id)]).toEqual([true, true]);
    const { placement, url, epoch } = await bed.placements.route(application);
    expect({ placement, url, epoch }).toEqual({ placement: source, url: null, epoch: 1 });
    await bed.operations.end(id, { state: "committed" });
    const start = await bed.insert({ kind: "start", application });
    await bed.operations.commit(start.id, 2);
    expect(await bed.placements.route(application)).toMatchObject({ placement: source, epoch: 2 });
    await bed.operations.end(start.id, { state: "committed" });
    await expect(bed.insert({ kind: "stop", application })).resolves.toMatchObject({ state: "open" });
  });

  it("leave a deleted one nothing but its epoch", async () => {
    const { id, application } = await begun("delete");
    expect(await bed.operations.commitDelete(id)).toBe(true);
    expect(await bed.placements.route(application)).toEqual({
      application,
      url: null,
      placement: null,
      cluster: null,
      epoch: 1,
    });
  });

  it("come too late where everything is taken back", async () => {
    for (const kind of ["stop", "delete"] as const) {
      const { id, application, source } = await begun(kind);
      await bed.operations.beginRollback(id, reason);
      expect(await bed.operations.commitStop(id)).toBe(false);
      expect(await bed.operations.commitDelete(id)).toBe(false);
      expect(await bed.placements.route(application)).toMatchObject({ placement: source });
    }
  });
});

describe("a life that is over", () => {
  const late: Record<string, (records: OperationRecords, id: string) => Promise<unknown>> = {
    setStep: (records, id) => records.setStep(id, "stop", "done", null),
    mark: (records, id) => records.mark(id, { stopSentAt: "2026-01-01T00:00:00Z" }),
    saveReceipt: async (records, id) => {
      const { application, target } = await operationOf(id);
      const placement = target ?? "";
      return records.saveReceipt(
        id,
        await (await createSigner()).sign({ application, operation: id, placement }),
      );
    },
    beginRollback: (records, id) => records.beginRollback(id, reason),
    commit: (records, id) => records.commit(id, 2),
    end: (records, id) => records.end(id, { state: "halted", reason }),
    change: (records, id) =>
      records.change(id, async (transaction) => transaction.deleteFrom("steps").execute()),
  };
  const operationOf = async (id: string): Promise<Operation> => {
    const operation = await bed.operations.find(id);
    if (operation === null) throw new Error("it was inserted");
    return operation;
  };

  it.each(Object.entries(late))("changes nothing any more by %s, and is told so", async (_, change) => {
    const { id, application } = await migration();
    const life = bed.operations.inTerm(0);
    await bed.database.updateTable("operations").set({ term: 1 }).where("id", "=", id).execute();
    const before = [await operationOf(id), await bed.placements.route(application)];
    await expect(change(life, id)).rejects.toThrow(StaleTerm);
    expect([await operationOf(id), await bed.placements.route(application)]).toEqual(before);
    await change(bed.operations.inTerm(1), id);
    expect((await operationOf(id)).version).toBe((before[0] as Operation).version + 1);
  });
});

describe("an end from outside", () => {
  it("is the end of the operation's life as well", async () => {
    const { id } = await migration();
    const life = bed.operations.inTerm(0);
    await life.setStep(id, "stop", "running", null);
    await bed.operations.end(id, { state: "halted", reason });
    await expect(life.setStep(id, "stop", "done", null)).rejects.toThrow(StaleTerm);
  });
});

describe("an end", () => {
  it("is the first one: who comes later changes nothing", async () => {
    const { id } = await migration();
    await bed.operations.commit(id, 2);
    await bed.operations.end(id, { state: "committed" });
    const ended = await bed.operations.find(id);
    await bed.operations.end(id, { state: "halted", reason });
    const after = await bed.operations.find(id);
    expect(ended).toMatchObject({ state: "committed", reason: null, epochBefore: 1, epochAfter: 2 });
    expect({ ...after, version: ended?.version }).toEqual(ended);
  });
});

describe("a step", () => {
  it("keeps its first start and gets its duration at its end", async () => {
    const { id } = await migration();
    const step = async () => (await bed.operations.find(id))?.steps.find(({ name }) => name === "stop");
    expect(await step()).toMatchObject({ state: "pending", startedAt: null, ms: null });
    await bed.operations.setStep(id, "stop", "running", null);
    const first = await step();
    expect(first).toMatchObject({ state: "running", ms: null });
    await bed.operations.setStep(id, "stop", "running", null);
    await bed.operations.setStep(id, "stop", "failed", "no receipt");
    const failed = await step();
    expect(failed).toMatchObject({ state: "failed", detail: "no receipt", startedAt: first?.startedAt });
    await bed.operations.setStep(id, "stop", "undoing", null);
    expect((await step())?.ms).toBe(failed?.ms);
  });
});

describe("the downtime ledger", () => {
  it("keeps the first moments, also of writers that come at once", async () => {
    const { id } = await migration();
    await bed.operations.mark(id, { stopSentAt: "2026-01-01T00:00:00.000Z" });
    await Promise.all([
      bed.operations.mark(id, { stopSentAt: "2026-01-01T00:00:09.000Z" }),
      bed.operations.mark(id, { exitedAt: "2026-01-01T00:00:01.000Z" }),
      bed.operations.mark(id, { applicationStopMs: 12.5 }),
    ]);
    expect((await bed.operations.find(id))?.ledger).toMatchObject({
      stopSentAt: "2026-01-01T00:00:00.000Z",
      exitedAt: "2026-01-01T00:00:01.000Z",
      applicationStopMs: 12.5,
      committedAt: null,
    });
  });
});

describe("a receipt", () => {
  it("is shown on the operation and kept once under its key", async () => {
    const { id, application, source } = await migration();
    const signer = await createSigner();
    const signed = await signer.sign({ application, operation: id, placement: source ?? "" });
    await bed.operations.saveReceipt(id, signed);
    await bed.operations.saveReceipt(id, signed);
    expect((await bed.operations.find(id))?.receipt).toEqual({
      outcome: "graceful",
      evidenceClass: "proven",
      jws: signed.jws,
    });
    const rows = await bed.database
      .selectFrom("receipts")
      .select("jws")
      .where("operation", "=", id)
      .execute();
    expect(rows).toEqual([{ jws: signed.jws }]);
  });
});

describe("waiting for a change", () => {
  it("hears of what another process changed", async () => {
    const { id, version } = await migration();
    const heard = new pg.Client({ connectionString: bed.url });
    await heard.connect();
    onTestFinished(() => heard.end());
    heard.on("notification", ({ payload }) => bed.operations.tell(payload ?? null));
    await heard.query("listen baton_operations");
    const waiting = bed.operations.waitForChange(id, version, 10_000);
    const another = new OperationRecords(bed.database);
    await another.setStep(id, "stop", "running", null);
    const since = performance.now();
    expect(await waiting).toMatchObject({ version: version + 1 });
    expect(performance.now() - since).toBeLessThan(5_000);
  });

  it("ends with the change, for everybody who waits", async () => {
    const { id, version } = await migration();
    const waiting = [1, 2, 3].map(() => bed.operations.waitForChange(id, version, 30_000));
    await bed.operations.setStep(id, "preflight", "running", null);
    for (const seen of await Promise.all(waiting)) expect(seen?.version).toBe(version + 1);
  });

  it("does not miss a change that came before it", async () => {
    const { id, version } = await migration();
    await bed.operations.setStep(id, "preflight", "running", null);
    expect((await bed.operations.waitForChange(id, version, 30_000))?.version).toBe(version + 1);
  });

  it("ends at its deadline with what is there, and at once without one", async () => {
    const { id, version } = await migration();
    const startedAt = performance.now();
    expect((await bed.operations.waitForChange(id, version, 50))?.version).toBe(version);
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(49);
    expect((await bed.operations.waitForChange(id, version, 0))?.version).toBe(version);
  });

  it("does not wait for an operation that ended, halted ones too, nor for one that is not there", async () => {
    const committed = await bed.deployed();
    expect(await bed.operations.waitForChange(committed.id, committed.version, 30_000)).toEqual(committed);
    const { id } = await migration();
    await bed.operations.end(id, { state: "halted", reason });
    const halted = await bed.operations.waitForChange(id, 99, 30_000);
    expect(halted).toMatchObject({ state: "halted", reason: "it failed" });
    expect(await bed.operations.waitForChange("op-none", 0, 30_000)).toBeNull();
  });

  it("leaves no listener behind", async () => {
    const { id, version } = await migration();
    const changes = new EventEmitter();
    const operations = new OperationRecords(bed.database, changes);
    const wait = (waitMs: number) =>
      Array.from({ length: 10 }, () => operations.waitForChange(id, version, waitMs));
    const waiting = [...wait(30_000), ...wait(40)];
    await vi.waitFor(() => expect(changes.listenerCount(id)).toBe(20));
    await Promise.all(waiting.slice(10));
    await operations.setStep(id, "preflight", "running", null);
    await Promise.all([...waiting, ...wait(30_000)]);
    expect(changes.eventNames()).toEqual([]);
  });
});
