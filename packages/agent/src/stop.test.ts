import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { type Bed, createBed, until } from "./fixtures/agent-bed.ts";

let bed: Bed;
afterEach(() => bed.end());

describe("a stop", () => {
  it("of an application that obeys is graceful and proven, and comes with a signed receipt", async () => {
    bed = await createBed();
    const { run, epoch } = await bed.run();

    const { key, status } = await bed.postStop({ run, epoch });
    const receipt = await bed.receipt(key);

    expect(status).toBe(202);
    expect(receipt).toMatchObject({
      outcome: "graceful",
      evidenceClass: "proven",
      run,
      epoch,
      exit: { code: 0, signal: null },
    });
    expect(receipt.evidence).toMatchObject({ treeGone: true, remaining: [] });
    expect(receipt.signals[0]).toMatchObject({ signal: "SIGTERM", processes: 1 });
    expect(await bed.processes()).toEqual([]);
    expect(await bed.lease()).toMatchObject({ state: "stopped", run });
    expect(await bed.status()).toMatchObject({ state: "stopped", run, ready: false, open: false });
    await until("the confirmation", () => bed.confirmations.length === 1);
    expect(await bed.effects()).toEqual(["exec", "signal", "receipt"]);
  });

  it("is on disk before anybody sees its receipt", async () => {
    bed = await createBed();
    const { run, epoch } = await bed.run();
    const { key } = await bed.postStop({ run, epoch });
    const settled = await bed.settled(key);
    const onDisk = await readFile(join(bed.config.stateDirectory, "receipts", `${key}.jws`), "utf8");
    expect(settled).toMatchObject({ state: "receipt", receipt: onDisk });
    expect(await (await bed.get(`/v1/receipts/${key}`)).json()).toEqual({ receipt: onDisk });
  });

  it("of an application that ignores the signal is refused, and it serves on", async () => {
    bed = await createBed({ behaviour: "ignore", hook: { graceMs: 300 } });
    const { run, epoch } = await bed.run();
    await bed.post("/v1/open", await bed.sign({ kind: "open", operation: bed.operation, run }, epoch));

    const { key } = await bed.postStop({ run, epoch });
    const closed = await fetch(`${bed.agent.endpoint.url}/readyz`);
    const receipt = await bed.receipt(key);

    expect(closed.status).toBe(503);
    expect(receipt).toMatchObject({
      outcome: "refused",
      evidenceClass: "unknown",
      evidence: { treeGone: false },
    });
    expect(await bed.processes()).toHaveLength(1);
    expect(await bed.status()).toMatchObject({ state: "running", open: true, ready: true });
    expect((await fetch(`${bed.agent.endpoint.url}/readyz`)).status).toBe(200);
    expect(await bed.lease()).toMatchObject({ state: "running", run });
  });

  it("kills only where the hook allows it, and is forced then", async () => {
    bed = await createBed({ behaviour: "ignore", hook: { graceMs: 300, killAllowed: true } });
    const { run, epoch } = await bed.run();
    const { key } = await bed.postStop({ run, epoch });
    const receipt = await bed.receipt(key);
    expect(receipt).toMatchObject({
      outcome: "forced",
      evidenceClass: "proven",
      exit: { signal: "SIGKILL" },
    });
    expect(receipt.signals.map(({ signal }) => signal)).toEqual(["SIGTERM", "SIGKILL"]);
    expect(await bed.processes()).toEqual([]);
  });

  it("kills where the stop itself allows it, after the ladder of the hook", async () => {
    bed = await createBed({ behaviour: "ignore", hook: { graceMs: 300 } });
    const { run, epoch } = await bed.run();
    const { key: gentle } = await bed.postStop({ run, epoch });
    expect(await bed.receipt(gentle)).toMatchObject({ outcome: "refused" });
    const { key } = await bed.postStop({ run, epoch, kill: true });
    expect(await bed.receipt(key)).toMatchObject({ outcome: "forced", exit: { signal: "SIGKILL" } });
    expect(await bed.processes()).toEqual([]);
  });

  it("is not stopped while a grandchild in a session of its own ignores the signal", async () => {
    bed = await createBed({ behaviour: "daemon", hook: { graceMs: 700 } });
    const { run, epoch } = await bed.run();
    const { key } = await bed.postStop({ run, epoch });
    const receipt = await bed.receipt(key);
    expect(receipt).toMatchObject({
      outcome: "refused",
      evidenceClass: "unknown",
      evidence: { treeGone: false },
    });
    expect(receipt.evidence.remaining.join()).toMatch(/process \d+ \((sh|sleep)\) lives/);
    expect(await bed.status()).toMatchObject({ state: "unknown", ready: false });
    expect(await bed.lease()).toMatchObject({ state: "running" });
    const { grant, epoch: next } = { grant: "another", epoch: epoch + 1 };
    expect(await bed.postStart({ grant, epoch: next })).toMatchObject({
      status: 409,
      body: { code: "wrong-state" },
    });
  });

  it("with such a grandchild is forced where killing is allowed", async () => {
    bed = await createBed({ behaviour: "daemon", hook: { graceMs: 700, killAllowed: true } });
    const { run, epoch } = await bed.run();
    const { key } = await bed.postStop({ run, epoch });
    expect(await bed.receipt(key)).toMatchObject({ outcome: "forced", exit: { code: 0 } });
    expect(await bed.processes()).toEqual([]);
  });

  it("that ends with another exit status is a crash during the stop", async () => {
    bed = await createBed({ behaviour: "exit-1" });
    const { run, epoch } = await bed.run();
    const { key } = await bed.postStop({ run, epoch });
    expect(await bed.receipt(key)).toMatchObject({
      outcome: "crashed-during-stop",
      evidenceClass: "proven",
      exit: { code: 1, signal: null },
    });
  });

  it("wakes an application that is stopped by SIGSTOP", async () => {
    bed = await createBed();
    const { run, epoch } = await bed.run();
    for (const { pid } of await bed.processes()) process.kill(pid, "SIGSTOP");
    const { key } = await bed.postStop({ run, epoch });
    expect(await bed.receipt(key)).toMatchObject({ outcome: "graceful" });
  });

  it("is one for two callers, with one key and with two", async () => {
    bed = await createBed({ environment: { STOP_MS: "300" } });
    const { run, epoch } = await bed.run();
    const key = bed.newKey("stop");
    const answers = await Promise.all([
      bed.postStop({ run, epoch, key }),
      bed.postStop({ run, epoch, key }),
      bed.postStop({ run, epoch }),
    ]);
    const receipts = await Promise.all(answers.map((answer) => bed.receipt(answer.key)));
    expect(answers.map(({ status }) => status)).toEqual([202, 202, 202]);
    expect(receipts.map(({ outcome }) => outcome)).toEqual(["graceful", "graceful", "graceful"]);
    expect(receipts[0]).toEqual(receipts[1]);
    expect(receipts[2]?.signals).toEqual(receipts[0]?.signals);
    expect(await bed.effects()).toEqual(["exec", "signal", "receipt", "receipt"]);
  });

  it("of a run that is stopped says already-stopped, and its first key keeps its receipt", async () => {
    bed = await createBed();
    const { run, epoch } = await bed.run();
    const first = await bed.postStop({ run, epoch });
    const receipt = await bed.receipt(first.key);
    const second = await bed.postStop({ run, epoch });
    expect(await bed.receipt(second.key)).toMatchObject({
      outcome: "already-stopped",
      evidenceClass: "proven",
      exit: { code: 0 },
    });
    await bed.postStop({ run, epoch, key: first.key });
    expect(await bed.receipt(first.key)).toEqual(receipt);
  });

  it("does not depend on the storage", async () => {
    bed = await createBed();
    const { run, epoch } = await bed.run();
    bed.bucket.inject(
      ...Array.from(
        { length: 200 },
        () => ({ kind: "error", code: "storage-unreachable", on: "get" }) as const,
      ),
    );
    const { key } = await bed.postStop({ run, epoch });
    expect(await bed.receipt(key)).toMatchObject({ outcome: "graceful" });
    expect(await bed.status()).toMatchObject({ state: "stopped", lease: { reachable: false } });
  });

  it("says that its receipt is local only while the bucket takes nothing", async () => {
    bed = await createBed();
    const { run, epoch } = await bed.run();
    const outage = Array.from(
      { length: 500 },
      () => ({ kind: "error", code: "storage-unreachable", on: "put" }) as const,
    );
    bed.bucket.inject(...outage);
    const { key } = await bed.postStop({ run, epoch });
    expect(await bed.settled(key)).toMatchObject({ state: "receipt", copy: "local only" });
  });
});

describe("the application's own end", () => {
  it("is a crash: recorded, proven, the lease stopped, not started again", async () => {
    bed = await createBed();
    const { run, epoch } = await bed.run();
    await fetch(`http://127.0.0.1:${bed.config.applicationPort}/exit`);
    await until("the state crashed", async () => (await bed.status()).state === "crashed");
    expect(await bed.lease()).toMatchObject({ state: "stopped", run });
    const { key } = await bed.postStop({ run, epoch });
    expect(await bed.receipt(key)).toMatchObject({
      outcome: "already-stopped",
      exit: { code: 7, signal: null },
    });
    expect(await bed.effects()).toEqual(["exec", "receipt", "receipt"]);
  });
});
