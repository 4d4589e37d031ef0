import { execFileSync } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import { type Bed, createBed, until } from "./fixtures/agent-bed.ts";

let bed: Bed;
afterEach(() => bed.end());

describe("a start", () => {
  it("turns the grant into the run, then gives the application its keys and none of the agent's", async () => {
    bed = await createBed();
    process.env["AGENT_SECRET"] = "agent-secret";
    await bed.begin();
    const { grant, epoch } = await bed.grant();
    const { key } = await bed.postStart({
      grant,
      epoch,
      environment: { AWS_SECRET_ACCESS_KEY: "data-secret" },
    });
    const settled = await bed.settled(key);
    delete process.env["AGENT_SECRET"];

    expect(settled).toMatchObject({ state: "started", result: { run: { counter: 1 } } });
    expect(await bed.lease()).toMatchObject({ state: "running", grant: null, epoch });
    expect(await bed.status()).toMatchObject({ state: "running", ready: true, open: false, epoch });
    const seen = await fetch(`http://127.0.0.1:${bed.config.applicationPort}/environment`);
    const environment = (await seen.json()) as Record<string, string>;
    expect(environment).toMatchObject({
      AWS_SECRET_ACCESS_KEY: "data-secret",
      BATON_EPOCH: String(epoch),
      BATON_PREFIX: "ledger/",
      AWS_REGION: "us-east-1",
    });
    expect(environment["BATON_COOKIE"]).toMatch(new RegExp(`^${bed.config.placement}:`));
    expect(environment).not.toHaveProperty("AGENT_SECRET");
    // grep's exit status 1: in no file.
    expect(() => execFileSync("grep", ["-r", "data-secret", bed.config.stateDirectory])).toThrow(
      /Command failed/,
    );
    expect(bed.logs.join()).not.toContain("data-secret");
  });

  it("is done once for one key", async () => {
    bed = await createBed();
    await bed.begin();
    const { grant, epoch } = await bed.grant();
    const key = bed.newKey("start");
    await Promise.all([bed.postStart({ grant, epoch, key }), bed.postStart({ grant, epoch, key })]);
    const settled = await bed.settled(key);
    await bed.postStart({ grant, epoch, key });
    expect(await bed.settled(key)).toEqual(settled);
    expect(await bed.effects()).toEqual(["exec"]);
  });

  it("with a wrong grant fails and leaves the agent held", async () => {
    bed = await createBed();
    await bed.begin();
    const { epoch } = await bed.grant();
    const { key } = await bed.postStart({ grant: "not-the-grant", epoch });
    expect(await bed.settled(key)).toMatchObject({ state: "failed", problem: { code: "grant-refused" } });
    expect(await bed.status()).toMatchObject({ state: "held", run: null });
    expect(await bed.effects()).toEqual([]);
  });

  it("with a used grant is refused", async () => {
    bed = await createBed();
    const { run, epoch, grant } = await bed.run();
    await bed.receipt((await bed.postStop({ run, epoch })).key);
    const again = await bed.postStart({ grant, epoch });
    expect(again).toMatchObject({ status: 403, body: { code: "stale-epoch" } });
    const later = await bed.postStart({ grant, epoch: epoch + 1 });
    expect(later).toMatchObject({ status: 409, body: { code: "grant-refused" } });
    expect(await bed.effects()).toEqual(["exec", "signal", "receipt"]);
  });

  it("happens again after a stop, with a new grant and a higher epoch", async () => {
    bed = await createBed();
    const { run, epoch } = await bed.run();
    await bed.receipt((await bed.postStop({ run, epoch })).key);
    const given = await bed.grant({ run, epoch });
    const { key } = await bed.postStart(given);
    expect(await bed.settled(key)).toMatchObject({ state: "started", result: { run: { counter: 2 } } });
    expect(given.epoch).toBe(epoch + 1);
    // Of the old run, whose epoch is over now.
    expect(await bed.postStop({ run, epoch })).toMatchObject({ status: 403, body: { code: "stale-epoch" } });
    expect(await bed.processes()).toHaveLength(1);
  });

  it("with an environment that cannot be given fails without telling it", async () => {
    bed = await createBed();
    await bed.begin();
    const { key } = await bed.postStart({ ...(await bed.grant()), environment: { KEY: "data-secret\0" } });
    const settled = await bed.settled(key);
    expect(settled).toMatchObject({ state: "failed", problem: { code: "agent-failed" } });
    expect(JSON.stringify(settled) + bed.logs.join()).not.toContain("data-secret");
    expect(await bed.status()).toMatchObject({ state: "crashed" });
    expect(await bed.effects()).toEqual([]);
  });

  it("of an application that exits at once fails, and the run is over", async () => {
    bed = await createBed({ behaviour: "exit-at-start" });
    await bed.begin();
    const given = await bed.grant();
    const { key } = await bed.postStart(given);
    const settled = await bed.settled(key);
    expect(settled).toMatchObject({ state: "failed", problem: { code: "application-exited" } });
    expect(JSON.stringify(settled)).toContain("exit code 3");
    expect(await bed.status()).toMatchObject({ state: "crashed" });
    expect(await bed.lease()).toMatchObject({ state: "stopped" });
  });

  it("of an application that does not get ready fails and stops it again", async () => {
    bed = await createBed({ behaviour: "never-ready", readinessMs: 400 });
    await bed.begin();
    const { key } = await bed.postStart(await bed.grant());
    expect(await bed.settled(key)).toMatchObject({
      state: "failed",
      problem: { code: "application-not-ready" },
    });
    expect(await bed.status()).toMatchObject({ state: "stopped" });
    expect(await bed.processes()).toEqual([]);
    expect(await bed.lease()).toMatchObject({ state: "stopped" });
  });

  it("is ended by a stop that comes before the application is ready", async () => {
    bed = await createBed({ behaviour: "never-ready" });
    await bed.begin();
    const given = await bed.grant();
    const { key } = await bed.postStart(given);
    await until(
      "a process",
      async () => (await bed.status()).run !== null && (await bed.processes()).length > 0,
    );
    const { run } = await bed.status();
    if (run === null) throw new Error("no run");
    const stop = await bed.postStop({ run, epoch: given.epoch });
    expect(await bed.receipt(stop.key)).toMatchObject({ evidenceClass: "proven" });
    expect(await bed.settled(key)).toMatchObject({ state: "failed", problem: { code: "wrong-state" } });
    expect(await bed.processes()).toEqual([]);
  });

  it("whose lease write is never answered counts as a run that was not executed, and can be stopped", async () => {
    bed = await createBed();
    await bed.begin();
    const given = await bed.grant();
    bed.bucket.inject(...Array.from({ length: 9 }, () => ({ kind: "unclear", write: "dropped" }) as const));
    const { key } = await bed.postStart({ ...given, deadlineMs: 1_000 });
    expect(await bed.settled(key)).toMatchObject({ state: "failed", problem: { code: "storage-unclear" } });
    const { run, state } = await bed.status();
    if (run === null) throw new Error("no run");
    expect(state).toBe("crashed");
    const stop = await bed.postStop({ run, epoch: given.epoch });
    expect(await bed.receipt(stop.key)).toMatchObject({
      outcome: "already-stopped",
      evidenceClass: "proven",
      run,
    });
    expect(await bed.lease()).toMatchObject({ state: "stopped", run, grant: null });
    expect(await bed.effects()).toEqual(["receipt"]);
  });
});

describe("the lease", () => {
  it("is renewed while the application runs, and a failure does not stop it", async () => {
    bed = await createBed();
    await bed.run();
    const before = (await bed.lease())?.nonce;
    await until("a renewal", async () => (await bed.lease())?.nonce !== before);
    bed.bucket.inject(
      ...(["get", "put"] as const).flatMap((on) =>
        Array.from({ length: 30 }, () => ({ kind: "error", code: "storage-failed", on }) as const),
      ),
    );
    await until("the failure", () => bed.logs.some((line) => line.includes("could not be renewed")));
    await until("the failure in the status", async () => !(await bed.status()).lease.reachable);
    expect(await bed.status()).toMatchObject({ state: "running" });
    await until("reachable again", async () => (await bed.status()).lease.reachable);
    expect((await bed.status()).lease).toMatchObject({ reachable: true, lost: false });
  });

  it("is out of reach, before anything runs, for a key that may only read", async () => {
    bed = await createBed();
    await bed.begin();
    bed.bucket.inject({ kind: "error", code: "storage-credentials", on: "put" });
    expect(await bed.status()).toMatchObject({ state: "held", lease: { reachable: false } });
    await until("it may write", async () => (await bed.status()).lease.reachable);
    expect([...bed.bucket.objects.keys()].filter((key) => key.includes("canaries"))).toEqual([]);
  });

  it("is lost once it is fenced; the application goes on, and its stop is proven without it", async () => {
    bed = await createBed();
    const { run, epoch } = await bed.run();
    await bed.fence({ run, epoch });
    await until("the renewal that finds out", () => bed.logs.some((line) => line.includes("be renewed")));
    await until("the loss in the status", async () => (await bed.status()).lease.lost);
    expect(await bed.status()).toMatchObject({ state: "running", lease: { reachable: true } });
    const { key } = await bed.postStop({ run, epoch });
    expect(await bed.receipt(key)).toMatchObject({ outcome: "graceful", evidenceClass: "proven" });
    expect(await bed.lease()).toMatchObject({ state: "fenced", epoch, run });
  });

  it("that was fenced starts nothing: its grant is gone", async () => {
    bed = await createBed();
    await bed.begin();
    const { grant, epoch } = await bed.grant();
    await bed.fence({ run: null, epoch });
    const { key } = await bed.postStart({ grant, epoch });
    expect(await bed.settled(key)).toMatchObject({ state: "failed", problem: { code: "grant-refused" } });
    expect(await bed.effects()).toEqual([]);
    const burn = bed.newKey("burn");
    const command = { kind: "burn", key: burn, operation: bed.operation, grant } as const;
    await bed.post("/v1/burn", await bed.sign(command, epoch));
    expect(await bed.lease()).toMatchObject({ state: "fenced", epoch, run: null, grant: null });
  });
});

describe("a burn", () => {
  it("gives up a grant for ever and says never-started", async () => {
    bed = await createBed();
    await bed.begin();
    const { grant, epoch } = await bed.grant();
    const key = bed.newKey("burn");
    const command = { kind: "burn", key, operation: bed.operation, grant } as const;
    const answer = await bed.post("/v1/burn", await bed.sign(command, epoch));
    expect(answer.status).toBe(202);
    expect(await bed.receipt(key)).toMatchObject({
      outcome: "never-started",
      evidenceClass: "proven",
      run: null,
      epoch,
    });
    expect(await bed.lease()).toMatchObject({ state: "stopped", run: null, grant: null });
    expect(await bed.postStart({ grant, epoch })).toMatchObject({
      status: 409,
      body: { code: "grant-burned" },
    });
    expect(await bed.status()).toMatchObject({ state: "held" });
    await delay(100);
    expect(bed.confirmations).toEqual([]);
    expect(await bed.effects()).toEqual(["burn", "receipt"]);
  });

  it("of a grant that became a run is refused", async () => {
    bed = await createBed();
    const { grant, epoch } = await bed.run();
    const command = { kind: "burn", key: bed.newKey("burn"), operation: bed.operation, grant } as const;
    const answer = await bed.post("/v1/burn", await bed.sign(command, epoch));
    expect(answer).toMatchObject({ status: 409, body: { code: "wrong-state" } });
    expect(await bed.processes()).toHaveLength(1);
  });
});
