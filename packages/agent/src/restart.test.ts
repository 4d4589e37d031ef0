import { readFile, readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { type Bed, createBed, until } from "./fixtures/agent-bed.ts";

let bed: Bed;
afterEach(() => bed.end());

describe("an agent that starts again", () => {
  it("adopts the living application, renews its lease, and can stop it", async () => {
    bed = await createBed();
    const { run, epoch } = await bed.run();
    await bed.post("/v1/open", await bed.sign({ kind: "open", operation: bed.operation, run }, epoch));
    const before = bed.agent.endpoint;
    await bed.agent.close();
    await bed.begin();

    expect(bed.agent.endpoint.publicKey).toEqual(before.publicKey);
    expect(bed.agent.endpoint.instance).not.toBe(before.instance);
    expect(await bed.status()).toMatchObject({ state: "running", run, open: true, ready: true });
    const nonce = (await bed.lease())?.nonce;
    await until("a renewal", async () => (await bed.lease())?.nonce !== nonce);
    const { key } = await bed.postStop({ run, epoch });
    // Its exit status went to somebody else: never graceful.
    expect(await bed.receipt(key)).toMatchObject({
      outcome: "crashed-during-stop",
      evidenceClass: "proven",
      exit: null,
    });
    expect(await bed.processes()).toEqual([]);
    expect(await bed.effects()).toEqual(["exec", "signal", "receipt"]);
  });

  it.each([
    ["in another container", { pidNamespace: "pid:[1]" }],
    ["on another machine", { bootId: "00000000-0000-4000-8000-000000000000" }],
    ["before anybody noted where", { pidNamespace: null }],
  ])("calls nothing gone that was executed %s, and leaves its lease alone", async (_where, facts) => {
    bed = await createBed();
    const { run, epoch } = await bed.run();
    await bed.agent.close();
    const path = join(bed.config.stateDirectory, "journal");
    const journal = JSON.parse(await readFile(path, "utf8")) as { run: object };
    await writeFile(path, JSON.stringify({ ...journal, run: { ...journal.run, ...facts } }));
    const before = await bed.lease();
    await bed.begin();
    expect(await bed.status()).toMatchObject({ state: "unknown", run, ready: false });
    const { key } = await bed.postStop({ run, epoch, deadlineMs: 1_000 });
    const receipt = await bed.receipt(key);
    expect(receipt).toMatchObject({
      outcome: "unknown",
      evidenceClass: "unknown",
      evidence: { treeGone: false },
    });
    expect(receipt.evidence.remaining.join()).toContain("in another container or on another machine");
    expect(await bed.lease()).toEqual(before);
    const next = await bed.postStart({ grant: "another", epoch: epoch + 1 });
    expect(next).toMatchObject({ status: 409, body: { code: "wrong-state" } });
    expect((await bed.processes()).length).toBeGreaterThan(0);
  });

  it("finds out that the application died meanwhile", async () => {
    bed = await createBed();
    const { run, epoch } = await bed.run();
    await bed.agent.close();
    for (const { pid } of await bed.processes()) process.kill(pid, "SIGKILL");
    await until("its death", async () => (await bed.processes()).length === 0);
    await bed.begin();
    // On a machine where processes come and go it may take more than one look.
    await until("its end is seen", async () => (await bed.status()).state === "crashed");
    expect(await bed.status()).toMatchObject({ run, ready: false });
    await until("the lease stopped", async () => (await bed.lease())?.state === "stopped");
    const { key } = await bed.postStop({ run, epoch });
    expect(await bed.receipt(key)).toMatchObject({
      outcome: "already-stopped",
      evidenceClass: "proven",
      exit: null,
    });
  });

  // Its end was recorded together with closed doors, and its successor served nobody until somebody opened it.
  it.each(["while its agent was away", "before its agent's eyes"])(
    "lets clients in again when the application that served died %s and starts again in its slot",
    async (when) => {
      bed = await createBed({ config: { slot: "pod-1/app", start: "immediately", afterExit: "exit" } });
      const { run, epoch } = await bed.run();
      await bed.post("/v1/open", await bed.sign({ kind: "open", operation: bed.operation, run }, epoch));
      const isAway = when === "while its agent was away";
      if (isAway) await bed.agent.close();
      for (const { pid } of await bed.processes()) process.kill(pid, "SIGKILL");
      await until("its death", async () => (await bed.processes()).length === 0);
      if (!isAway) {
        await until("its end is seen", async () => (await bed.status()).state === "crashed");
        await bed.agent.close();
      }
      await bed.begin();
      await until("its next run", async () => (await bed.status()).state === "running");
      expect(await bed.status()).toMatchObject({ open: true, ready: true });
      expect((await bed.status()).run).not.toEqual(run);
    },
  );

  it("is opened also in the moment between the death of the application and its next start in its slot", async () => {
    bed = await createBed({ config: { slot: "pod-1/app", start: "immediately", afterExit: "exit" } });
    const { run, epoch } = await bed.run();
    for (const { pid } of await bed.processes()) process.kill(pid, "SIGKILL");
    await until("its end is seen", async () => (await bed.status()).state === "crashed");
    const command = { kind: "open", operation: bed.operation, run } as const;
    expect((await bed.post("/v1/open", await bed.sign(command, epoch))).status).toBe(200);
    expect(await bed.status()).toMatchObject({ open: false });
    await bed.agent.close();
    await bed.begin();
    await until("its next run", async () => (await bed.status()).state === "running");
    expect(await bed.status()).toMatchObject({ open: true, ready: true });
  });

  it("sees an adopted application end", async () => {
    bed = await createBed();
    await bed.run();
    await bed.agent.close();
    await bed.begin();
    await fetch(`http://127.0.0.1:${bed.config.applicationPort}/exit`);
    await until("its end", async () => !(await bed.status()).ready);
    await until("the proof", async () => (await bed.status()).state !== "verifying");
    expect(await bed.status()).toMatchObject({ state: "crashed" });
  });

  it("keeps its receipts, byte by byte", async () => {
    bed = await createBed();
    const { run, epoch } = await bed.run();
    const { key } = await bed.postStop({ run, epoch });
    const settled = await bed.settled(key);
    await until("the confirmation", () => bed.confirmations.length === 1);
    await bed.agent.close();
    await bed.begin();
    expect(await bed.postStop({ run, epoch, key })).toMatchObject({ status: 202, body: settled });
    expect(await bed.status()).toMatchObject({ state: "stopped", run });
  });

  it("leaves what it left: only files for its own user", async () => {
    bed = await createBed();
    await bed.run();
    const { stateDirectory } = bed.config;
    expect((await stat(stateDirectory)).mode & 0o777).toBe(0o700);
    for (const name of ["key.json", "journal", "endpoint.json", "lock", "application.log", "effects.jsonl"])
      expect((await stat(join(stateDirectory, name))).mode & 0o077).toBe(0);
    expect((await readdir(stateDirectory)).filter((name) => name.includes("tmp"))).toEqual([]);
  });

  it("is alone on its state directory", async () => {
    bed = await createBed();
    await bed.begin();
    await expect(bed.begin()).rejects.toMatchObject({ code: "in-use" });
    const lock = await readFile(join(bed.config.stateDirectory, "lock"), "utf8");
    expect(JSON.parse(lock)).toMatchObject({ pid: process.pid });
  });
});

describe("a confirmation", () => {
  it("is sent until somebody takes it, with the same bytes each time", async () => {
    bed = await createBed();
    bed.answers.push(503, 429, 302);
    const { run, epoch } = await bed.run();
    const { key } = await bed.postStop({ run, epoch });
    const settled = await bed.settled(key);
    if (settled.state !== "receipt") throw new Error("no receipt");
    await until("four tries", () => bed.confirmations.length === 4);
    expect(new Set(bed.confirmations)).toEqual(new Set([JSON.stringify({ receipt: settled.receipt })]));
  });

  it("is taken up again by the next life of the agent", async () => {
    bed = await createBed();
    bed.answers.push(...Array.from({ length: 100 }, () => 503));
    const { run, epoch } = await bed.run();
    await bed.receipt((await bed.postStop({ run, epoch })).key);
    await until("a first try", () => bed.confirmations.length > 0);
    await bed.agent.close();
    const tries = bed.confirmations.length;
    bed.answers.length = 0;
    await bed.begin();
    await until("one more try", () => bed.confirmations.length > tries);
    expect(new Set(bed.confirmations).size).toBe(1);
  });

  it("ends at a refusal", async () => {
    bed = await createBed();
    bed.answers.push(404, 404);
    const { run, epoch } = await bed.run();
    await bed.receipt((await bed.postStop({ run, epoch })).key);
    await until("the refusal", () => bed.logs.some((line) => line.includes("was refused")));
    expect(bed.confirmations).toHaveLength(1);
  });
});

describe("an agent that is told to end", () => {
  it("stops the application gracefully first, with a receipt of its own", async () => {
    bed = await createBed();
    const { run } = await bed.run();
    expect(await bed.agent.shutDown()).toBe(true);
    expect(await bed.processes()).toEqual([]);
    const [receipt] = await readdir(join(bed.config.stateDirectory, "receipts"));
    expect(receipt).toContain("agent-stop");
    expect(await bed.lease()).toMatchObject({ state: "stopped", run });
    expect(bed.confirmations).toEqual([]);
  });

  it("stays when the application does not stop", async () => {
    bed = await createBed({ behaviour: "ignore", hook: { graceMs: 200 } });
    await bed.run();
    expect(await bed.agent.shutDown()).toBe(false);
    expect(await bed.status()).toMatchObject({ state: "running" });
  });

  it("ends at once while held", async () => {
    bed = await createBed();
    const agent = await bed.begin();
    expect(await agent.shutDown()).toBe(true);
    await expect(readFile(join(bed.config.stateDirectory, "lock"))).rejects.toMatchObject({ code: "ENOENT" });
  });
});
