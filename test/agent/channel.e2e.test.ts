/* An agent that listens nowhere: the real program on a real S3 endpoint, which is the only thing that both sides reach. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import {
  type Command,
  type PublicKey,
  type Receipt,
  type Run,
  agentEndpointSchema,
  parseAs,
  verifyReceipt,
} from "@baton/protocol";
import {
  type RequestView,
  applyRequestWrite,
  getReceipt,
  planRequest,
  readRequest,
  requestKey,
} from "@baton/storage";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type AgentBed, createAgentBed, until } from "./agent-process.ts";

const prefix = "ledger/";
let bed: AgentBed;
let run: Run;
let epoch: number;
/** Recorded while the agent could be reached, as the orchestrator does. */
let publicKey: PublicKey;

describe("an agent that no network path reaches", { timeout: 120_000 }, () => {
  beforeEach(async () => {
    bed = await createAgentBed();
    ({ run, epoch } = await bed.run());
    const endpoint: unknown = JSON.parse(await readFile(join(bed.stateDirectory, "endpoint.json"), "utf8"));
    publicKey = parseAs(agentEndpointSchema, endpoint, "the endpoint").publicKey;
    const unheard = { ...bed.config, listen: null, confirm: null };
    await writeFile(join(bed.directory, "agent.json"), JSON.stringify(unheard));
    await killAndBegin();
    const isReached = await bed.status().then(
      () => true,
      () => false,
    );
    if (isReached) throw new Error("the agent listens, and these tests would show nothing");
  });
  afterEach(() => bed.end());

  it("is stopped through the bucket, where its signed receipt is found; its object does nothing when it comes again", async () => {
    const stop = stopOf();
    const asked = await ask(stop);
    const receipt = await receiptOf(stop.key);
    expect(receipt).toMatchObject({ key: stop.key, run, epoch, evidenceClass: "proven" });
    expect(receipt.evidence.treeGone).toBe(true);
    expect(await bed.processes()).toEqual([]);
    expect(await bed.lease()).toMatchObject({ state: "stopped", run });
    const effects = await bed.effects();
    expect(effects.map(({ effect }) => effect)).toEqual(["exec", "signal", "receipt"]);

    await lay(asked.body);
    expect(await refusal()).toBe("token-replayed");
    await killAndBegin();
    await lay(asked.body);
    expect(await refusal()).toBe("token-replayed");
    expect(await bed.effects()).toEqual(effects);
  });

  it.each([0, 400, 600])(
    "gives one receipt for one stop, though it is killed %i ms after it was asked",
    async (afterMs) => {
      const stop = stopOf();
      await ask(stop);
      await delay(afterMs);
      await killAndBegin();
      expect(await receiptOf(stop.key)).toMatchObject({ run, evidenceClass: "proven" });
      expect(await bed.processes()).toEqual([]);
      const effects = (await bed.effects()).map(({ effect }) => effect);
      expect(effects.filter((effect) => effect === "receipt")).toHaveLength(1);
      expect(effects.filter((effect) => effect === "exec")).toHaveLength(1);
    },
  );

  it("refuses what it may not do, and its application serves on", async () => {
    const old = await signed({ ...stopOf(), run: { ...run, counter: 9 } });
    expect(await answerTo(old)).toBe("wrong-state");
    expect(await answerTo(await signed(stopOf(), epoch - 1))).toBe("stale-epoch");
    const [head, claims = "", signature] = (await signed(stopOf())).split(".");
    expect(await answerTo([head, `${claims}A`, signature].join("."))).toBe("unauthenticated");
    for (const body of ["garbage", "", "x".repeat(4_000_000)]) {
      await lay(body);
      expect(await refusal()).toBe("invalid-request");
    }
    expect((await bed.effects()).map(({ effect }) => effect)).toEqual(["exec"]);
    expect(await bed.processes()).not.toEqual([]);
    const { nonce } = (await bed.lease()) ?? {};
    await until("a renewal", async () => (await bed.lease())?.nonce !== nonce);
    expect(await bed.lease()).toMatchObject({ state: "running", run });
  });
});

const mailbox = () => ({ store: bed.store, prefix, placement: bed.config.placement });
const look = (): Promise<RequestView | null> => readRequest({ ...mailbox(), timeoutMs: 5_000 });
const stopOf = (): Extract<Command, { kind: "stop" }> => ({
  kind: "stop",
  key: `${bed.operation}.stop.1`,
  operation: bed.operation,
  run,
  deadlineMs: 10_000,
});
const signed = (command: Command, of = epoch): Promise<string> => bed.sign(command, of);

async function killAndBegin(): Promise<void> {
  await bed.signal("SIGKILL");
  await bed.begin();
}

async function askWith(token: string): Promise<{ readonly body: string }> {
  const write = planRequest(await look(), { state: "asked", kind: "stop", token });
  expect(await applyRequestWrite({ ...mailbox(), write, deadlineMs: 10_000 })).toMatchObject({
    kind: "applied",
  });
  return write;
}
const ask = async (stop: Command): Promise<{ readonly body: string }> => askWith(await signed(stop));
/** As somebody would lay it there who has the bucket's key, and none to sign. */
const lay = async (body: string): Promise<void> =>
  void (await bed.store.put({ key: requestKey(prefix, bed.config.placement), body, timeoutMs: 10_000 }));

/** The code of the error table that the agent answers with. */
async function refusal(): Promise<unknown> {
  await until("a refusal", async () => (await look())?.request?.state === "refused");
  const request = (await look())?.request;
  return request?.state === "refused" ? (request.problem as { code: unknown }).code : null;
}
async function answerTo(token: string): Promise<unknown> {
  await askWith(token);
  return refusal();
}

async function receiptOf(key: string): Promise<Receipt> {
  let jws: string | null = null;
  await until("the receipt", async () => {
    jws = await getReceipt({ store: bed.store, prefix, key, timeoutMs: 5_000 });
    return jws !== null;
  });
  return verifyReceipt(jws ?? "", publicKey);
}
