import { AppError } from "@baton/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RecordsBed, openRecordsBed } from "../fixtures/records-bed.ts";
import { sagas, tableOf } from "./saga-tables.ts";

let bed: RecordsBed;
beforeAll(async () => {
  bed = await openRecordsBed();
});
afterAll(() => bed.end());

describe("a new operation", () => {
  it("has everything that it needs before it runs", async () => {
    const { application, target } = await bed.deployed();
    const operation = await bed.begin({ kind: "migrate", application, to: "harbor-b" }, "night-shift");
    expect(operation).toMatchObject({
      kind: "migrate",
      startedBy: "night-shift",
      state: "open",
      from: "harbor-a",
      to: "harbor-b",
      source: target,
      epochBefore: 1,
      endedAt: null,
    });
    expect(operation.target).not.toBe(target);
    expect(operation.steps.map(({ name }) => name)).toEqual(sagas.migrate.steps.map(({ name }) => name));
    const [source, next] = await Promise.all(
      [target, operation.target].map((placement) => bed.placements.find(placement)),
    );
    expect(next).toMatchObject({ cluster: "harbor-b", deployment: source?.deployment, publicKey: null });
  });

  it("runs the deployment that was made, whatever the application's instructions say since", async () => {
    const { application } = await bed.deployed();
    const manifest = await bed.catalog.application(application);
    await bed.catalog.putApplication({
      ...manifest,
      workload: { ...manifest.workload, command: ["another"] },
    });
    const { target } = await bed.begin({ kind: "migrate", application, to: "harbor-b" });
    expect((await bed.placements.find(target)).manifest).toEqual(manifest);
  });

  it("is one of an application, however many are asked for at once", async () => {
    const { application } = await bed.deployed();
    const request = { kind: "migrate", application, to: "harbor-b" } as const;
    const results = await Promise.allSettled([1, 2, 3, 4, 5, 6].map(() => bed.insert(request)));
    const won = results.filter(({ status }) => status === "fulfilled");
    const lost = results.flatMap((result) => (result.status === "rejected" ? [result.reason] : []));
    expect(won).toHaveLength(1);
    expect(lost).toMatchObject(Array.from({ length: 5 }, () => ({ code: "operation-open" })));
  });

  it("is refused by the table itself where another is open", async () => {
    const { application } = await bed.deployed();
    const { id } = await bed.insert({ kind: "migrate", application, to: "harbor-b" });
    const row = await bed.database
      .selectFrom("operations")
      .selectAll()
      .where("id", "=", id)
      .executeTakeFirstOrThrow();
    const unsaid = { receipt: null, fence: null, replica: null, findings: null };
    const copy = { ...row, id: `${id}x`, ...unsaid, ledger: JSON.stringify(row.ledger) };
    await expect(bed.database.insertInto("operations").values(copy).execute()).rejects.toThrow(
      "one_open_operation",
    );
  });

  it("waits for the end of the one that is open, and for a person where it halted", async () => {
    const { application } = await bed.deployed();
    const request = { kind: "migrate", application, to: "harbor-b" } as const;
    const first = await bed.insert(request);
    await bed.operations.beginRollback(first.id, { code: "internal", detail: "it failed" });
    await expect(bed.insert(request)).rejects.toMatchObject({
      code: "operation-open",
      message: expect.stringContaining(first.id),
    });
    await bed.operations.end(first.id, { state: "halted", reason: { code: "internal", detail: "it stuck" } });
    await expect(bed.insert(request)).rejects.toMatchObject({
      code: "operation-halted",
      message: expect.stringContaining("it stuck"),
    });
    expect((await bed.operations.find(first.id))?.state).toBe("halted");
  });

  it("follows one that was taken back", async () => {
    const { application } = await bed.deployed();
    const request = { kind: "migrate", application, to: "harbor-b" } as const;
    const { id } = await bed.insert(request);
    await bed.operations.end(id, { state: "rolled-back", reason: { code: "internal", detail: "it failed" } });
    await expect(bed.insert(request)).resolves.toMatchObject({ state: "open" });
  });

  it("is refused where the lease contradicts the records", async () => {
    const { application } = await bed.deployed();
    const request = { kind: "migrate", application, to: "harbor-b" } as const;
    await bed.placements.halt(application, "the lease is newer");
    await expect(bed.insert(request)).rejects.toMatchObject({
      code: "operation-halted",
      message: `cannot migrate ${application}: the lease is newer`,
    });
    await bed.placements.halt(application, null);
    await expect(bed.insert(request)).resolves.toMatchObject({ state: "open" });
  });

  it("names what is known where it is asked for what is not", async () => {
    const fresh = await bed.declare();
    const { application: served } = await bed.deployed();
    const cases = [
      ["deploy", "nowhere", "harbor-a", "unknown-application", served],
      ["deploy", fresh, "nowhere", "unknown-cluster", "harbor-a, harbor-b"],
      ["migrate", fresh, "harbor-b", "not-deployed", fresh],
      ["deploy", served, "harbor-b", "already-deployed", "harbor-a"],
      ["migrate", served, "harbor-a", "same-cluster", "harbor-a"],
    ] as const;
    for (const [kind, application, to, code, named] of cases) {
      const error = await bed.insert({ kind, application, to }).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(AppError);
      expect(error).toMatchObject({ code, message: expect.stringContaining(named) });
    }
    expect(await bed.operations.list(fresh)).toEqual([]);
    expect(await bed.operations.list(served)).toHaveLength(1);
  });
});

describe("an operation on what is there", () => {
  const names = (table: { readonly steps: readonly { readonly name: string }[] }) =>
    table.steps.map(({ name }) => name);
  const endOf = async (id: string) => bed.operations.end(id, { state: "committed" });
  async function stopped() {
    const deployed = await bed.deployed();
    const { id } = await bed.insert({ kind: "stop", application: deployed.application });
    await bed.operations.commitStop(id);
    await endOf(id);
    return deployed;
  }

  it.each(["stop", "delete"] as const)("%s ends its placement and starts none", async (kind) => {
    const { application, target, ...deployed } = await bed.deployed();
    const operation = await bed.insert({ kind, application });
    expect(operation).toMatchObject({
      from: "harbor-a",
      to: null,
      source: target,
      target: null,
      epochBefore: 1,
    });
    expect(operation.strategy).toBe("give-up");
    expect(names(operation)).toEqual(names(sagas[kind]));
    const placements = await bed.database
      .selectFrom("placements")
      .selectAll()
      .where("application", "=", application)
      .execute();
    expect(placements.map(({ id, deployment }) => [id, deployment])).toEqual([
      [target, expect.any(String) as string],
    ]);
    expect(deployed.kind).toBe("deploy");
  });

  it("start starts the placement that is there, also where nobody stopped it", async () => {
    for (const { application, target } of [await stopped(), await bed.deployed()])
      expect(await bed.insert({ kind: "start", application })).toMatchObject({
        from: null,
        to: "harbor-a",
        source: null,
        target,
        strategy: null,
      });
  });

  it("deletes what is stopped by another table", async () => {
    const { application } = await stopped();
    const operation = await bed.insert({ kind: "delete", application });
    expect(names(operation)).toEqual(names(tableOf({ kind: "delete" }, true)));
    expect(names(tableOf({ kind: "delete" }))).not.toEqual(names(operation));
  });

  it("asks to start first where it is stopped, and to deploy first where it is not there", async () => {
    const { application } = await stopped();
    for (const kind of ["deploy", "migrate"] as const)
      await expect(bed.insert({ kind, application, to: "harbor-b" })).rejects.toMatchObject({
        code: "application-stopped",
        message: `cannot ${kind} ${application}: it is stopped on harbor-a; start it first`,
      });
    await expect(bed.insert({ kind: "stop", application })).rejects.toMatchObject({
      code: "application-stopped",
      message: `cannot stop ${application}: it is stopped on harbor-a already`,
    });
    const fresh = await bed.declare();
    for (const kind of ["stop", "start", "delete"] as const)
      await expect(bed.insert({ kind, application: fresh })).rejects.toMatchObject({
        code: "not-deployed",
        message: `cannot ${kind} ${fresh}: it is not deployed`,
      });
  });

  it("leaves the name to another deploy, and refuses to delete again", async () => {
    const { application, target } = await bed.deployed();
    const { id } = await bed.insert({ kind: "delete", application });
    await bed.operations.commitDelete(id);
    await bed.placements.retire(target);
    await endOf(id);
    await expect(bed.insert({ kind: "delete", application })).rejects.toMatchObject({ code: "not-deployed" });
    const again = await bed.begin({ kind: "deploy", application, to: "harbor-a" });
    expect(again).toMatchObject({ source: null, epochBefore: null });
    expect(again.target).not.toBe(target);
    expect(await bed.operations.list(application)).toHaveLength(3);
  });
});
