import { noFaults } from "@baton/migration";
import { AppError, type Operation } from "@baton/protocol";
import { pino } from "pino";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { createPreflightParams, openFineCluster } from "../fixtures/preflight-params.ts";
import { type RecordsBed, openRecordsBed } from "../fixtures/records-bed.ts";
import { type OperationPorts, openOperationPorts } from "../ports/operation-ports.ts";
import { ProbeRecords } from "../records/probe-records.ts";
import { explainOperation } from "../explain-operation.ts";
import { createDbosEngine } from "./dbos-engine.ts";
import type { Life } from "./operation-life.ts";
import { type OperationEngine, launchOperationEngine } from "./operation-engine.ts";
import { sweep } from "./sweep.ts";

const log = pino({ level: "silent" });
let bed: RecordsBed;
let engine: OperationEngine;
/** Applications whose lease contradicts the records, and operations whose workflow fails before its saga begins. */
const contradicted = new Set<string>();
const broken = new Set<string>();
let gatesAsked = 0;

beforeAll(async () => {
  bed = await openRecordsBed();
  const key = { kty: "OKP", crv: "Ed25519", x: "x".repeat(43) } as const;
  const signingKey = { ...key, d: "d".repeat(43) };
  const ports = async (operation: string, life: Life): Promise<OperationPorts> => {
    if (broken.has(operation)) throw new Error("no ports");
    const { database, operations, placements } = bed;
    return openOperationPorts(
      {
        database,
        operations,
        placements,
        probeRecords: new ProbeRecords(database),
        preflight: createPreflightParams(bed, { signingKey }),
        // The cluster is fine and the secrets are not there: preflight fails, and nothing has to be taken back.
        cluster: openFineCluster,
        signingKey,
        commandKey: key,
        confirmUrl: "http://127.0.0.1:9/v1/confirmations",
        installation: "here",
      },
      operation,
      life,
    );
  };
  engine = await launchOperationEngine({
    database: bed.database,
    databaseUrl: bed.url,
    records: bed.operations,
    ports,
    faults: () => noFaults,
    reconciled: async (application) => {
      gatesAsked += 1;
      return contradicted.has(application) ? "the lease is newer" : null;
    },
    log,
  });
});
afterAll(async () => {
  await engine.stop();
  await bed.end();
});

const insert = async (): Promise<Operation> =>
  bed.insert({ kind: "deploy", application: await bed.declare(), to: "harbor-a" });
const leftAlone = new Set<string>();
const sweepOnce = (using: OperationEngine = engine) =>
  sweep({ database: bed.database, operations: bed.operations, engine: using, log, leftAlone });
const ended = async ({ id }: Operation) =>
  vi.waitFor(
    async () => {
      const operation = await bed.operations.find(id);
      if (operation === null || operation.endedAt === null) throw new Error("it is still open");
      return operation;
    },
    { timeout: 10_000 },
  );
const stateOf = async ({ id }: Operation) => (await engine.survey([id]))[0]?.state;

describe("an operation", () => {
  it("runs once, however often it is started, and is taken back with the reason when a step fails", async () => {
    const operation = await insert();
    const before = gatesAsked;
    await Promise.all([engine.start(operation.id), engine.start(operation.id), sweepOnce()]);
    expect(await ended(operation)).toMatchObject({
      state: "rolled-back",
      reason: expect.stringMatching(
        /^preflight failed: .*cannot read the secret \/secrets\/(control|data): there is no such file/,
      ),
    });
    await engine.start(operation.id);
    expect(gatesAsked - before).toBe(1);
  });

  it("halts and keeps its lock where the lease contradicts the records", async () => {
    const operation = await insert();
    contradicted.add(operation.application);
    await engine.start(operation.id);
    expect(await ended(operation)).toMatchObject({
      state: "halted",
      reason: "the lease is newer; nothing was touched",
    });
    const again = { kind: "deploy", application: operation.application, to: "harbor-b" } as const;
    await expect(bed.insert(again)).rejects.toMatchObject({ code: "operation-halted" });
  });
});

describe("what the engine keeps of an operation", () => {
  it("is forgotten when it is told so, and may be forgotten again", async () => {
    const operation = await insert();
    await engine.start(operation.id);
    await ended(operation);
    await vi.waitFor(async () => expect(await stateOf(operation)).toBe("dead"));
    await engine.forget([operation.id]);
    expect(await stateOf(operation)).toBe("missing");
    await engine.forget([operation.id]);
  });
});

describe("the sweep", () => {
  it("starts what was recorded and never started", async () => {
    const operation = await insert();
    expect(await stateOf(operation)).toBe("missing");
    await sweepOnce();
    expect((await ended(operation)).state).toBe("rolled-back");
  });

  it("halts what has a dead workflow, and keeps its lock", async () => {
    const operation = await insert();
    broken.add(operation.id);
    await engine.start(operation.id);
    await vi.waitFor(async () => expect(await stateOf(operation)).toBe("dead"));
    expect((await bed.operations.find(operation.id))?.state).toBe("open");
    await sweepOnce();
    expect(await bed.operations.find(operation.id)).toMatchObject({
      state: "halted",
      reason: "its workflow ended as ERROR before the operation did",
    });
  });

  it("leaves alone what ended while it looked", async () => {
    const operation = await insert();
    const slow: OperationEngine = {
      ...engine,
      survey: async (operations) => {
        await bed.operations.commit(operation.id, 1);
        await bed.operations.end(operation.id, { state: "committed" });
        return operations.map((id) => ({ operation: id, state: "dead", why: "SUCCESS" }));
      },
    };
    await sweepOnce(slow);
    expect(await bed.operations.find(operation.id)).toMatchObject({ state: "committed", reason: null });
  });
});

describe("a life", () => {
  const termOf = async ({ id }: Operation) =>
    (
      await bed.database
        .selectFrom("operations")
        .select("term")
        .where("id", "=", id)
        .executeTakeFirstOrThrow()
    ).term;
  const setTerm = ({ id }: Operation, term: number) =>
    bed.database.updateTable("operations").set({ term }).where("id", "=", id).execute();

  it("has a term above all that lives had which a restored database does not know", async () => {
    const { rows } = await sql<{ seconds: number }>`
      select extract(epoch from clock_timestamp() - timestamptz '2026-01-01Z')::integer as seconds`.execute(
      bed.database,
    );
    const operation = await insert();
    await setTerm(operation, 3);
    await engine.start(operation.id);
    await ended(operation);
    expect(await termOf(operation)).toBeGreaterThanOrEqual(rows[0]?.seconds ?? Infinity);
  });

  it("has a higher term than the one before, whatever the clock says", async () => {
    const operation = await insert();
    await setTerm(operation, 2_000_000_000);
    await engine.start(operation.id);
    await ended(operation);
    expect(await termOf(operation)).toBe(2_000_000_001);
  });
});

describe("a workflow of another version", () => {
  /** As a replica leaves it that put it into the queue and then died. */
  const leave = async (saga: string): Promise<Operation> => {
    const operation = await insert();
    await engine.start(operation.id);
    await ended(operation);
    await vi.waitFor(async () => expect(await stateOf(operation)).toBe("dead"));
    await bed.database.updateTable("operations").set({ saga }).where("id", "=", operation.id).execute();
    await sql`update dbos.workflow_status set status = 'ENQUEUED', queue_name = '_dbos_internal_queue', updated_at = 0,
      application_version = 'sagas-other' where workflow_uuid = ${operation.id}`.execute(bed.database);
    return operation;
  };

  it("is taken on where its table is known, and else left to who knows it", async () => {
    const [known, unknown] = [await leave("deploy@1"), await leave("deploy@99")];
    await sweepOnce();
    await vi.waitFor(async () => expect(await stateOf(known)).toBe("dead"), 5_000);
    expect(await stateOf(unknown)).toBe("alive");
  });
});

describe("an operation whose table is of a newer version", () => {
  it("is neither started, nor taken for dead, nor explained, and that is said once", async () => {
    const operation = await insert();
    await bed.database
      .updateTable("operations")
      .set({ saga: "deploy@99" })
      .where("id", "=", operation.id)
      .execute();
    await sweepOnce();
    await sweepOnce();
    expect([...leftAlone]).toEqual([operation.id]);
    expect(await stateOf(operation)).toBe("missing");
    expect(await bed.operations.find(operation.id)).toEqual(operation);
    const { database, operations, placements } = bed;
    const explaining = {
      database,
      operations,
      placements,
      cluster: openFineCluster,
      signingKey: {} as never,
    };
    await expect(explainOperation(explaining, operation.id)).rejects.toMatchObject({
      code: "saga-unknown",
      message: `cannot go on with ${operation.id}: its steps are deploy@99, which this version does not know; start a version that knows them, and let it end there`,
    });
  });

  it("stays as it is even if somebody starts it here", async () => {
    const operation = await insert();
    await bed.database
      .updateTable("operations")
      .set({ saga: "deploy@99" })
      .where("id", "=", operation.id)
      .execute();
    const asked = gatesAsked;
    await engine.start(operation.id);
    await vi.waitFor(async () => expect(await stateOf(operation)).toBe("alive"));
    await sweepOnce();
    expect(await bed.operations.find(operation.id)).toEqual(operation);
    expect(gatesAsked).toBe(asked);
  });
});

/* Outside a workflow DBOS runs a step and records nothing: the result is what the journal would hold. */
describe("a step", () => {
  const lines: string[] = [];
  const life = { admit: async () => 1 };
  const engineOfSteps = createDbosEngine(pino({}, { write: (line: string) => void lines.push(line) }), life);

  it("that succeeds is its value", async () => {
    expect(await engineOfSteps.step("stop", 1_000, async () => ({ epoch: 2 }))).toEqual({
      ok: true,
      value: { epoch: 2 },
    });
  });

  it("that fails is a value as well, with the error's code and sentence", async () => {
    const work = () => Promise.reject(new AppError("stop-refused", "cannot stop: it runs"));
    expect(await engineOfSteps.step("stop", 1_000, work)).toEqual({
      ok: false,
      error: { code: "stop-refused", detail: "cannot stop: it runs" },
    });
  });

  it("that fails in an unknown way tells the log, and the journal only that", async () => {
    const work = () => Promise.reject(new Error("password hunter2"));
    const result = await engineOfSteps.step("stop", 1_000, work);
    expect(result).toMatchObject({ ok: false, error: { code: "internal" } });
    expect(JSON.stringify(result)).not.toContain("hunter2");
    expect(lines.join("")).toContain("hunter2");
  });

  it("that takes too long is aborted and counts as failed, even if it does not listen", async () => {
    let reason: unknown;
    const result = await engineOfSteps.step("stop", 20, (signal) => {
      signal.addEventListener("abort", () => {
        reason = signal.reason;
      });
      return new Promise<never>(() => undefined);
    });
    expect(result).toEqual({
      ok: false,
      error: { code: "deadline-exceeded", detail: "cannot finish stop: 20 ms have passed" },
    });
    expect(reason).toMatchObject({ code: "deadline-exceeded" });
  });
});
