/* Commands that reach the agent through the bucket. The stops of these tests never go over HTTP; what became of them is looked at there. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  AppError,
  type Command,
  type Receipt,
  type Run,
  createKeyPair,
  newPlacementId,
  signCommand,
} from "@baton/protocol";
import {
  type ObjectStore,
  type RequestView,
  applyRequestWrite,
  getReceipt,
  planRequest,
  readRequest,
  requestKey,
} from "@baton/storage";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Bed, createBed, until } from "./fixtures/agent-bed.ts";

const prefix = "ledger/";
let bed: Bed;
let run: Run;
let epoch: number;
/** The asker's own way to the bucket. */
let store: ObjectStore;
beforeEach(async () => {
  bed = await createBed();
  store = bed.bucket.open();
  ({ run, epoch } = await bed.run());
});
afterEach(() => bed.end());

type Kind = "stop" | "withdraw" | "open" | "read";
const mailbox = () => ({ store, prefix, placement: bed.config.placement });
const look = (): Promise<RequestView | null> => readRequest({ ...mailbox(), timeoutMs: 1_000 });
const stopOf = (key = bed.newKey("stop")): Extract<Command, { kind: "stop" }> => ({
  kind: "stop",
  key,
  operation: bed.operation,
  run,
  deadlineMs: 5_000,
});

/** Asks in the place of whatever is there. */
async function ask(kind: Kind, token: string): Promise<{ readonly nonce: string; readonly body: string }> {
  for (;;) {
    const write = planRequest(await look(), { state: "asked", kind, token });
    const result = await applyRequestWrite({ ...mailbox(), write, deadlineMs: 5_000 });
    if (result.kind === "applied") return write;
  }
}
/** What is there once the agent has answered. */
async function answered(): Promise<unknown> {
  await until("an answer", async () => (await look())?.request?.state !== "asked");
  return (await look())?.request;
}
const answerTo = async (kind: Kind, token: string): Promise<unknown> => {
  await ask(kind, token);
  return answered();
};
const refusal = (code: string): unknown =>
  expect.objectContaining({ state: "refused", problem: problem(code) });
const problem = (code: string): unknown => expect.objectContaining({ code });
/** The very bytes of an earlier request, as somebody would lay them there who has no key to sign. */
const layAgain = async (body: string): Promise<void> =>
  void (await store.put({ key: requestKey(prefix, bed.config.placement), body, timeoutMs: 1_000 }));

/** The receipt of a stop, once the agent knows of it: it hears of one when it looks. */
async function receiptOf(key: string): Promise<Receipt> {
  await until("the receipt", async () => {
    const { status } = await bed.get(`/v1/receipts/${key}`);
    return status === 200;
  });
  return bed.receipt(key);
}

async function expectUntouched(): Promise<void> {
  expect(await bed.processes()).toHaveLength(1);
  expect(await bed.effects()).toEqual(["exec"]);
  expect(await bed.status()).toMatchObject({ state: "running", epoch });
}

describe("a stop in the bucket", () => {
  it("is accepted there, carried out once, and its receipt comes back the same way", async () => {
    const stop = stopOf();
    const asked = await ask("stop", await bed.sign(stop, epoch));
    expect(await answered()).toMatchObject({ state: "accepted", history: [asked.nonce], status: null });
    const receipt = await receiptOf(stop.key);
    expect(receipt).toMatchObject({ key: stop.key, run, outcome: "graceful", evidenceClass: "proven" });
    const settled = await bed.settled(stop.key);
    const jws = await getReceipt({ store, prefix, key: stop.key, timeoutMs: 1_000 });
    expect(settled).toMatchObject({ state: "receipt", receipt: jws, copy: "bucket" });
    expect(await bed.effects()).toEqual(["exec", "signal", "receipt"]);
    expect(await bed.lease()).toMatchObject({ state: "stopped", run });
  });

  it("joins the one that came over HTTP with the same key", async () => {
    const { key } = await bed.postStop({ run, epoch });
    expect(
      await answerTo("stop", await bed.sign({ ...stopOf(key), deadlineMs: 10_000 }, epoch)),
    ).toMatchObject({ state: "accepted" });
    await bed.receipt(key);
    expect(await bed.effects()).toEqual(["exec", "signal", "receipt"]);
  });

  it("does nothing when its object comes again, also in another life of the agent", async () => {
    const stop = stopOf();
    const asked = await ask("stop", await bed.sign(stop, epoch));
    await receiptOf(stop.key);
    const again = await bed.grant({ run, epoch });
    const { key } = await bed.postStart(again);
    expect(await bed.settled(key)).toMatchObject({ state: "started" });
    const effects = ["exec", "signal", "receipt", "exec"];

    await layAgain(asked.body);
    expect(await answered()).toEqual(refusal("token-replayed"));
    await bed.agent.close();
    await layAgain(asked.body);
    await bed.begin();
    expect(await answered()).toEqual(refusal("token-replayed"));
    expect(await bed.status()).toMatchObject({ state: "running", epoch: again.epoch });
    expect(await bed.effects()).toEqual(effects);
  });

  it("is not begun while it is not certain that its acceptance was taken, and never when it was withdrawn before", async () => {
    const line = holdAnswers();
    await ask("stop", await bed.sign(stopOf(), epoch));
    await until("the acceptance is sent again", () => line.held() >= 3);
    await expectUntouched();
    await ask("read", await bed.sign({ kind: "read" }, epoch));
    await line.arrive();
    expect(await answered()).toMatchObject({ state: "accepted", status: { state: "running", run } });
    expect(await accepting()).toBeNull();
    await expectUntouched();
  });

  it("is begun when its acceptance turns out to have been taken, also under what was asked since", async () => {
    const line = holdAnswers();
    const stop = stopOf();
    await ask("stop", await bed.sign(stop, epoch));
    await until("the acceptance is sent", () => line.held() > 0);
    await line.arrive({ isStillDown: true });
    expect(await answered()).toMatchObject({ state: "accepted" });
    await ask("read", await bed.sign({ kind: "read" }, epoch));
    await line.arrive();
    expect(await receiptOf(stop.key)).toMatchObject({ outcome: "graceful", run });
    expect(await answered()).toMatchObject({ status: { run } });
    expect(await bed.effects()).toEqual(["exec", "signal", "receipt"]);
  });

  it("that was accepted is begun by the next life of the agent, where this one died before", async () => {
    const line = holdAnswers();
    const stop = stopOf();
    await ask("stop", await bed.sign(stop, epoch));
    await until("the acceptance is sent", () => line.held() > 0);
    await bed.agent.close();
    await line.arrive();
    await bed.begin();
    // Nobody sees the exit status of a child that an earlier life executed.
    const ended = { outcome: "crashed-during-stop", evidenceClass: "proven", run };
    expect(await receiptOf(stop.key)).toMatchObject(ended);
    expect(await bed.effects()).toEqual(["exec", "signal", "receipt"]);
    await until("it is off the record", async () => (await accepting()) === null);
  });

  it("that was accepted is not begun any more once its token has expired, and this is said there", async () => {
    const line = holdAnswers();
    await ask("stop", await bed.sign(stopOf(), epoch));
    await until("the acceptance is sent", () => line.held() > 0);
    await bed.agent.close();
    await line.arrive();
    await changeAccepting((left) => ({ ...left, verified: { ...left.verified, expiresAt: 1 } }));
    await bed.begin();
    await until("the refusal", async () => (await look())?.request?.state === "refused");
    expect((await look())?.request).toEqual(refusal("token-expired"));
    await expectUntouched();
  });
});

describe("a stop in the bucket that is refused changes nothing, and its asker learns why", () => {
  it("with a token of another key, a changed one, or none", async () => {
    const stranger = await createKeyPair();
    const { placement } = bed.config;
    const foreign = await signCommand({ key: stranger.privateKey, placement, epoch, command: stopOf() });
    const own = await bed.sign(stopOf(), epoch);
    const [header = "", payload = "", signature = ""] = own.split(".");
    const claims = JSON.parse(Buffer.from(payload, "base64url").toString()) as object;
    const changed = Buffer.from(JSON.stringify({ ...claims, epoch: epoch + 1 })).toString("base64url");
    for (const token of ["", "x", "a b", foreign, `${header}.${changed}.${signature}`])
      expect(await answerTo("stop", token)).toEqual(refusal("unauthenticated"));
    await expectUntouched();
  });

  it("with a token for another command than the object says", async () => {
    expect(await answerTo("stop", await bed.sign({ kind: "read" }, epoch))).toEqual(
      refusal("unauthenticated"),
    );
    expect(await answerTo("read", await bed.sign(stopOf(), epoch))).toEqual(refusal("unauthenticated"));
    await expectUntouched();
  });

  it.each([
    ["an expired token", "token-expired", () => ({ now: new Date(Date.now() - 60_000) })],
    ["one from a clock far ahead", "unauthenticated", () => ({ now: new Date(Date.now() + 60_000) })],
    ["one for another placement", "token-foreign", () => ({ placement: newPlacementId() })],
  ])("with %s", async (_, code, more) => {
    expect(await answerTo("stop", await bed.sign(stopOf(), epoch, more()))).toEqual(refusal(code));
    await expectUntouched();
  });

  it("with an old epoch, for another run, or by a key that was withdrawn or used", async () => {
    const withdrawn = stopOf();
    const taken = stopOf();
    expect(await answerTo("stop", await bed.sign(stopOf(), epoch - 1))).toEqual(refusal("stale-epoch"));
    const other = { ...stopOf(), run: { ...run, counter: run.counter + 1 } };
    expect(await answerTo("stop", await bed.sign(other, epoch))).toEqual(refusal("wrong-state"));
    const withdrawal = { kind: "withdraw", key: withdrawn.key, operation: bed.operation } as const;
    expect(await answerTo("withdraw", await bed.sign(withdrawal, epoch))).toMatchObject({
      state: "accepted",
      status: { state: "running", run },
    });
    expect(await answerTo("stop", await bed.sign(withdrawn, epoch))).toEqual(refusal("command-withdrawn"));
    const { key } = await bed.postStop({ run, epoch, key: `${taken.key}.0` });
    await bed.receipt(key);
    const conflicting = await bed.sign({ ...other, key }, epoch);
    expect(await answerTo("stop", conflicting)).toEqual(refusal("command-conflict"));
  });

  it.each([
    ["is no JSON", "garbage"],
    ["says nothing", ""],
    ["asks for what is not done this way", JSON.stringify({ version: 1, kind: "start", token: "x" })],
    ["is huge", "x".repeat(8 * 1024 * 1024)],
  ])("where it %s", async (_, body) => {
    const before = (await bed.lease())?.nonce;
    await layAgain(body);
    await until("the refusal", async () => (await look())?.request?.state === "refused");
    expect((await look())?.request).toEqual(refusal("invalid-request"));
    await until("a renewal", async () => (await bed.lease())?.nonce !== before);
    await expectUntouched();
    const stop = stopOf();
    expect(await answerTo("stop", await bed.sign(stop, epoch))).toMatchObject({ state: "accepted" });
    expect(await receiptOf(stop.key)).toMatchObject({ outcome: "graceful" });
  });
});

describe("the bucket", () => {
  it("carries questions and the permission to let clients in as well, with the agent's own words", async () => {
    const status = await answerTo("read", await bed.sign({ kind: "read" }, 0));
    expect(status).toMatchObject({ status: { state: "running", run, epoch, open: false, ready: true } });
    const open = { kind: "open", operation: bed.operation, run } as const;
    expect(await answerTo("open", await bed.sign(open, epoch))).toMatchObject({ status: { open: true } });
    expect((await fetch(`${bed.agent.endpoint.url}/readyz`)).status).toBe(200);
  });

  it("is looked at once in each renewal period, and not written", async () => {
    const key = requestKey(prefix, bed.config.placement);
    const gets = () => bed.requests.filter((request) => request.key === key);
    const renewals = () => bed.requests.filter(({ method, key: at }) => method === "put" && at !== key);
    const [from, renewed] = [gets().length, renewals().length];
    await until("five renewals", () => renewals().length >= renewed + 5);
    const seen = gets().slice(from);
    expect(seen.length).toBeGreaterThanOrEqual(3);
    expect(seen.length).toBeLessThanOrEqual(7);
    expect(new Set(seen.map(({ method }) => method))).toEqual(new Set(["get"]));
  });

  it("that does not answer changes nothing, is told of once, and is listened to again", async () => {
    bed.bucket.inject(
      ...Array.from({ length: 12 }, () => ({ kind: "unclear", write: "dropped", on: "get" }) as const),
    );
    const told = () => bed.logs.filter((line) => line.includes("nobody can be heard through the bucket"));
    await until("the outage is told", () => told().length > 0);
    await expectUntouched();
    const stop = stopOf();
    const token = await bed.sign(stop, epoch);
    await until("it can be asked", () =>
      ask("stop", token).then(
        () => true,
        () => false,
      ),
    );
    expect(await receiptOf(stop.key)).toMatchObject({ outcome: "graceful" });
    expect(told()).toHaveLength(1);
  });
});

it("is not looked at by an agent that takes no commands from afar", async () => {
  await bed.end();
  bed = await createBed({ config: { commandKey: null } });
  await bed.begin();
  await new Promise((resolve) => setTimeout(resolve, 3 * bed.config.storage!.renewMs));
  expect(bed.requests.filter(({ key }) => key.includes("/requests/"))).toEqual([]);
});

/** What the agent writes there gets no answer from now on, and arrives only when it is let. */
function holdAnswers() {
  const of = bed.store;
  const put = of.put.bind(of);
  const held: (() => Promise<unknown>)[] = [];
  of.put = (params) => {
    if (!params.key.includes("/requests/")) return put(params);
    held.push(() => put(params));
    return Promise.reject(new AppError("storage-unclear", "planted: no answer"));
  };
  return {
    held: () => held.length,
    async arrive({ isStillDown = false } = {}) {
      for (const send of held.splice(0)) await send();
      if (!isStillDown) of.put = put;
    },
  };
}
const journalPath = (): string => join(bed.config.stateDirectory, "journal");
type Left = { readonly verified: object };
async function accepting(): Promise<Left | null> {
  return (JSON.parse(await readFile(journalPath(), "utf8")) as { accepting: Left | null }).accepting;
}
async function changeAccepting(change: (left: Left) => Left): Promise<void> {
  const facts = JSON.parse(await readFile(journalPath(), "utf8")) as { accepting: Left };
  await writeFile(journalPath(), JSON.stringify({ ...facts, accepting: change(facts.accepting) }));
}
