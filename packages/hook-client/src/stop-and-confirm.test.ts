import { type Receipt, createKeyPair, isAppError, newOperationId, newPlacementId } from "@baton/protocol";
import { Agent } from "undici";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { checkReceipt } from "./check-receipt.ts";
import { startDeadEnd, until } from "./fixtures/dead-end.ts";
import { type StoppableAgent, startStoppableAgent } from "./fixtures/stoppable-agent.ts";
import { stopAndConfirm } from "./stop-and-confirm.ts";
import type { StopOptions } from "./stop-options.ts";

// P2 and P4: whoever stops an application gets one stop and a receipt that can be believed, or an error that says what is known.

let agent: StoppableAgent;
const operation = newOperationId();
beforeEach(async () => {
  agent = await startStoppableAgent();
});
afterEach(() => agent.end());

const options = (more: Partial<StopOptions> = {}): StopOptions => ({
  placement: agent.placement,
  signingKey: agent.commandKeys.privateKey,
  publicKey: agent.publicKey,
  deadlineMs: 5_000,
  operation,
  ...more,
});
const stop = (more: Partial<StopOptions> = {}) => stopAndConfirm(agent.url, options(more));
const polls = () => agent.heard.filter(({ path }) => path.includes("/operations/")).length;
const failure = async (call: Promise<unknown>) => {
  const error = await call.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (!isAppError(error)) throw new Error("it did not throw an AppError", { cause: error });
  return error;
};

describe("a stop", () => {
  it("names the run, waits and gives the verified receipt", async () => {
    const result = await stop();
    const { run } = agent;
    expect(result).toMatchObject({ outcome: "graceful", evidenceClass: "proven", operation, run });
    expect(result.key).toBe(`${operation}.stop.1.${agent.placement}.i1.1`);
    expect(result.receipt).toMatchObject({ key: result.key, epoch: 3, run, operation });
    expect(await checkReceipt(result.jws, agent.publicKey, { operation })).toEqual(result.receipt);
    expect(agent.heard.map(({ kind }) => kind)).toEqual(["read", "stop", "read"]);
  });

  it("gives the agent a deadline that ends before its own", async () => {
    await stop({ deadlineMs: 10_000 });
    const [asked] = agent.heard.filter(({ kind }) => kind === "stop");
    expect(asked?.deadlineMs).toBeLessThanOrEqual(8_000);
    expect(asked?.deadlineMs).toBeGreaterThan(6_000);
  });

  it("waits by several polls for one that takes longer", async () => {
    agent.stopMs = 900;
    await stop({ deadlineMs: 2_000 });
    expect(polls()).toBeGreaterThan(1);
  });

  it("called again gives the very same receipt and stops nothing twice", async () => {
    const first = await stop();
    expect((await stop()).jws).toBe(first.jws);
    const [left, right] = await Promise.all([stop(), stop()]);
    expect([left.jws, right.jws]).toEqual([first.jws, first.jws]);
    expect(agent.ended).toHaveLength(1);
  });

  it("finds its receipt when the agent has gone on to another epoch or run since", async () => {
    const { jws, run } = await stop();
    agent.epoch = 4;
    expect((await stop()).jws).toBe(jws);
    agent.run = { ...run, counter: 2 };
    expect((await stop({ run })).jws).toBe(jws);
    expect(agent.ended).toEqual([run]);
  });

  it("is another one for a run that was started since, and for another attempt", async () => {
    const first = await stop();
    agent.run = { ...first.run, counter: 2 };
    const second = await stop();
    expect(second.run).toEqual(agent.run);
    expect((await stop({ attempt: 2 })).key).toBe(second.key.replace(".stop.1.", ".stop.2."));
    expect(agent.ended).toHaveLength(3);
  });

  it("goes by the key, run and epoch that it was given", async () => {
    const run = agent.run ?? undefined;
    expect(await stop({ key: "mine", run, epoch: 3 })).toMatchObject({ key: "mine", run });
    await expect(stop({ epoch: 2, attempt: 2 })).rejects.toMatchObject({ code: "stale-epoch" });
  });

  it("makes an operation when none was given, and tells it", async () => {
    const made = await stopAndConfirm(agent.url, { ...options(), operation: undefined });
    expect(made.operation).toMatch(/^op-/);
    expect(made.key.startsWith(made.operation)).toBe(true);
  });

  it("goes below the path of a proxy", async () => {
    await stopAndConfirm(`${agent.url}/proxy/agent/`, options());
    expect(agent.heard[0]?.path).toBe("/proxy/agent/v1/status");
  });

  it("uses the dispatcher that it was given and leaves it open", async () => {
    const dispatcher = new Agent();
    await stop({ dispatcher });
    expect(dispatcher.closed).toBe(false);
    await dispatcher.close();
  });
});

describe("how it ended", () => {
  it.each(["graceful", "already-stopped", "forced", "crashed-during-stop"] as const)(
    "%s resolves, since the run is gone",
    async (outcome) => {
      agent.ending = { outcome };
      expect(await stop()).toMatchObject({ outcome, evidenceClass: "proven" });
    },
  );

  it("a claim resolves and says that it is one", async () => {
    agent.ending = { evidenceClass: "claimed" };
    expect(await stop()).toMatchObject({ outcome: "graceful", evidenceClass: "claimed" });
  });

  it("a refusal rejects with the receipt, and the next attempt can end otherwise", async () => {
    agent.ending = { outcome: "refused", evidenceClass: "unknown" };
    agent.treeGone = false;
    const refused = await failure(stop());
    expect(refused).toMatchObject({ code: "stop-refused", meta: { operation, taken: "yes" } });
    const receipt = refused.meta?.["receipt"] as Receipt;
    expect(await checkReceipt(String(refused.meta?.["jws"]), agent.publicKey)).toEqual(receipt);
    agent.ending = {};
    agent.treeGone = true;
    expect((await failure(stop())).meta?.["jws"]).toBe(refused.meta?.["jws"]);
    expect(await stop({ attempt: 2 })).toMatchObject({ outcome: "graceful" });
  });

  it.each([
    { ending: { outcome: "unknown", evidenceClass: "unknown" }, treeGone: false },
    { ending: { outcome: "graceful", evidenceClass: "unknown" }, treeGone: true },
    { ending: { outcome: "graceful", evidenceClass: "proven" }, treeGone: false },
  ] as const)("anything that its evidence does not bear out is unknown: $ending, $treeGone", async (one) => {
    agent.ending = one.ending;
    agent.treeGone = one.treeGone;
    const error = await failure(stop());
    expect(error).toMatchObject({ code: "stop-unknown", meta: { taken: "yes", receipt: one.ending } });
  });

  it.each([
    ["another run", { run: { placement: "pl-00000000000000000000", instance: "i1", counter: 1 } }],
    ["another epoch", { epoch: 2 }],
    ["another operation", { operation: newOperationId() }],
    ["another key", { key: "other" }],
  ])("a receipt about %s is not accepted", async (_, ending) => {
    agent.ending = ending;
    const error = await failure(stop());
    expect(error).toMatchObject({ code: "receipt-invalid", meta: { jws: expect.any(String) as string } });
  });

  it("a receipt by another key is not accepted", async () => {
    agent.signingKey = (await createKeyPair()).privateKey;
    await expect(stop()).rejects.toMatchObject({ code: "receipt-invalid", meta: { taken: "yes" } });
  });
});

describe("what goes wrong on the way", () => {
  it.each(["before", "after", 502, "hang"] as const)(
    "a stop that breaks (%s) is sent again and done once",
    async (how) => {
      agent.breakOn({ on: "status", how }, { on: "stop", how }, { on: "operation", how });
      expect(await stop()).toMatchObject({ outcome: "graceful" });
      expect(agent.ended).toHaveLength(1);
    },
  );

  it("an agent that is away for more than a handful of tries is waited for", async () => {
    await agent.close();
    const proxy = await startDeadEnd(Number(new URL(agent.url).port));
    const waiting = stop({ retry: { firstPauseMs: 1, longestPauseMs: 5 } });
    await until(() => proxy.connections >= 20);
    await proxy.close();
    await agent.reopen();
    expect(await waiting).toMatchObject({ outcome: "graceful" });
  });

  it("an agent that restarts in the middle ends the same stop", async () => {
    agent.stopMs = 60_000;
    const waiting = stop();
    for (let round = 1; round <= 3; round += 1) {
      await until(() => polls() >= round);
      await agent.close();
      await agent.reopen();
    }
    agent.finishAll();
    expect(await waiting).toMatchObject({ outcome: "graceful" });
    expect(agent.ended).toHaveLength(1);
  });

  it("an agent that lost its state after it took the stop leaves it unknown", async () => {
    agent.stopMs = 60_000;
    const waiting = failure(stop({ deadlineMs: 10_000 }));
    await until(() => polls() > 0);
    agent.forget();
    await agent.close();
    await agent.reopen();
    expect(await waiting).toMatchObject({ code: "stop-unknown", meta: { taken: "yes" } });
  });

  it("nobody there is unreachable, at the deadline or after as many tries as allowed", async () => {
    await agent.close();
    const startedAt = performance.now();
    const late = await failure(stop({ deadlineMs: 200 }));
    expect(late).toMatchObject({ code: "agent-unreachable", meta: { operation, taken: "no", key: null } });
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    const few = await failure(stop({ retry: { retries: 1, firstPauseMs: 1 } }));
    expect(few).toMatchObject({ code: "agent-unreachable", meta: { taken: "no" } });
  });

  it("an agent that falls silent after the stop left is unreachable, and the stop may have been taken", async () => {
    agent.breakOn(...Array.from({ length: 50 }, () => ({ on: "stop", how: "after" }) as const));
    const error = await failure(stop({ deadlineMs: 1_500 }));
    expect(error).toMatchObject({ code: "agent-unreachable", meta: { taken: "maybe", run: agent.run } });
  });

  it("an agent that answers nonsense until the end has failed, not gone", async () => {
    agent.breakOn(...Array.from({ length: 50 }, () => ({ on: "status", how: 500 }) as const));
    await expect(stop({ deadlineMs: 1_000 })).rejects.toMatchObject({ code: "agent-failed" });
  });

  it("an agent that answers while its stop stays open exceeds the deadline, and the next call joins", async () => {
    agent.stopMs = 60_000;
    const startedAt = performance.now();
    const error = await failure(stop({ deadlineMs: 1_000 }));
    expect(error).toMatchObject({ code: "deadline-exceeded", meta: { taken: "yes", operation } });
    expect(error.message).toContain("call again");
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    agent.finishAll();
    expect(await stop()).toMatchObject({ outcome: "graceful" });
    expect(agent.ended).toHaveLength(1);
  });

  it("the caller's signal ends the call with its own reason, and not the stop", async () => {
    agent.stopMs = 60_000;
    const reason = new Error("enough");
    const controller = new AbortController();
    const waiting = stop({ signal: controller.signal }).catch((error: unknown) => error);
    await until(() => polls() > 0);
    controller.abort(reason);
    expect(await waiting).toBe(reason);
    agent.finishAll();
    expect(await stop()).toMatchObject({ outcome: "graceful" });
    expect(agent.ended).toHaveLength(1);
    await expect(stop({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });
});

describe("what the agent refuses", () => {
  it("commands by another key, and for another placement", async () => {
    const signingKey = (await createKeyPair()).privateKey;
    const foreign = await failure(stop({ signingKey }));
    expect(foreign).toMatchObject({ code: "unauthenticated", meta: { taken: "no" } });
    expect(JSON.stringify(foreign)).not.toContain(signingKey.d);
    await expect(stop({ placement: newPlacementId() })).rejects.toMatchObject({ code: "token-foreign" });
    expect(agent.ended).toEqual([]);
  });

  it("a stop of something that was never started", async () => {
    agent.run = null;
    await expect(stop()).rejects.toMatchObject({ code: "wrong-state", meta: { taken: "no" } });
  });

  it("a key of another stop, which is told as it is", async () => {
    await stop({ key: "mine" });
    const error = await failure(stop({ key: "mine", operation: newOperationId() }));
    expect(error).toMatchObject({ code: "command-conflict", meta: { taken: "no" } });
  });

  it("a stop for reasons of its own", async () => {
    agent.refusal = "command-withdrawn";
    await expect(stop()).rejects.toMatchObject({ code: "command-withdrawn", meta: { taken: "no" } });
  });
});

describe("bad options", () => {
  it.each([
    ["an address without a scheme", "agent:1", {}, /http/],
    ["an address of another scheme", "ftp://agent", {}, /http/],
    ["a deadline of nothing", undefined, { deadlineMs: 0 }, /deadlineMs/],
    ["a deadline of days", undefined, { deadlineMs: 86_400_000 }, /deadlineMs/],
    ["a placement that is none", undefined, { placement: "demo" }, /placement/],
    ["an operation that is none", undefined, { operation: "demo" }, /operation/],
    ["a key without its operation", undefined, { operation: undefined, key: "mine" }, /"operation"/],
    [
      "a public key of another kind",
      undefined,
      { publicKey: { kty: "OKP", crv: "X25519", x: "AA" } },
      /Ed25519/,
    ],
    ["no public key", undefined, { publicKey: undefined }, /Ed25519/],
    ["half a signing key", undefined, { signingKey: { kty: "OKP", crv: "Ed25519", x: "AA" } }, /signing key/],
    ["no signing key", undefined, { signingKey: undefined }, /signing key/],
    ["TLS options for plain HTTP", undefined, { tls: { ca: "pem" } }, /https/],
  ])("%s is refused before anything is asked", async (_, url, more, message) => {
    const wrong = { ...options(), ...(more as object) } as StopOptions;
    const error = await failure(stopAndConfirm(url ?? agent.url, wrong));
    expect(error.code).toBe("invalid-request");
    expect(error.message).toMatch(message);
    expect(agent.heard).toEqual([]);
  });
});
