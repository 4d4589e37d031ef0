import { AppError, assertBodyMatches, newOperationId } from "@baton/protocol";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type AgentClient, createAgentClient } from "./agent-client.ts";
import { until } from "./fixtures/dead-end.ts";
import { type AgentServer, startAgentServer } from "./fixtures/agent-server.ts";

let agent: AgentServer;
let client: AgentClient;
const operation = newOperationId();
const key = `${operation}.start.1`;
const signal = AbortSignal.timeout(60_000);

beforeEach(async () => {
  agent = await startAgentServer();
  client = createAgentClient(agent.address);
});
afterEach(() => agent.close());

const status = () => ({
  placement: agent.address.placement,
  instance: "i1",
  agentVersion: "0",
  state: "held",
  epoch: 3,
  run: null,
  ready: false,
  open: false,
  lease: { reachable: true, lost: false, detail: null },
  waiting: null,
});
const run = () => ({ placement: agent.address.placement, instance: "i1", counter: 1 });
const started = () => ({
  key,
  kind: "start",
  state: "started",
  result: { run: run(), execAt: "2026-01-01T00:00:00Z", readyAt: "2026-01-01T00:00:01Z", startMs: 1_000 },
});
const open = (kind: "start" | "stop" | "burn") => ({ key, kind, state: "open" });
const problem = {
  type: "x",
  title: "x",
  status: 502,
  code: "application-exited",
  detail: "cannot start: exited",
  retry: "never",
};
const startCommand = {
  key,
  operation,
  epoch: 3,
  grant: "g",
  deadlineMs: 5_000,
  body: { environment: { KEY: "secret" } },
};

const nonces = () => agent.heard.map(({ nonce }) => nonce);

describe("a call", () => {
  it("has the reader's answer, with the command and its epoch in the token", async () => {
    agent.answer({ status: 200, json: status() });
    expect(await client.status(signal)).toEqual(status());
    expect(agent.heard).toMatchObject([{ method: "GET", path: "/v1/status", command: { kind: "read" } }]);
  });

  it("is sent again with a fresh token while the agent breaks off or fails", async () => {
    agent.answer(
      "reset",
      { problem: "agent-failed", detail: "cannot: failed" },
      { status: 502, text: "<h1>Bad gateway</h1>" },
      { status: 200, text: "not JSON" },
      { status: 200, json: status() },
    );
    await client.withdraw({ key, operation, epoch: 3 }, signal);
    expect(agent.heard).toHaveLength(5);
    expect(new Set(nonces()).size).toBe(5);
    expect(new Set(agent.heard.map(({ command, epoch }) => JSON.stringify({ command, epoch }))).size).toBe(1);
  });

  it("succeeds once an agent that refused connections is there", async () => {
    await agent.close();
    agent.answer({ status: 200, json: status() });
    const waiting = client.status(signal);
    await agent.reopen();
    expect(await waiting).toEqual(status());
  });

  it("is unreachable when nobody listens, however often it is sent", async () => {
    await agent.close();
    await expect(client.status(signal)).rejects.toMatchObject({
      code: "agent-unreachable",
      message: `cannot reach the agent of ${agent.address.placement}: no answer`,
    });
  });

  it("ends with the agent's own problem, which is not asked for twice", async () => {
    agent.answer({ problem: "stale-epoch", detail: "cannot stop: epoch 2 is over" });
    await expect(
      client.stop({ key, operation, epoch: 2, run: run(), deadlineMs: 1_000 }, signal),
    ).rejects.toMatchObject({ code: "stale-epoch", message: "cannot stop: epoch 2 is over" });
    expect(agent.heard).toHaveLength(1);
  });

  it("ends by its signal when the agent is silent", async () => {
    agent.answer("hang");
    const deadline = new AbortController();
    const waiting = client.status(deadline.signal).catch((error: unknown) => error);
    await until(() => agent.heard.length > 0);
    deadline.abort();
    expect(await waiting).toMatchObject({
      code: "agent-unreachable",
      message: `cannot reach the agent of ${agent.address.placement}: the deadline has passed`,
    });
    expect(agent.heard).toHaveLength(1);
  });

  it("ends with the reason of its signal when that says more", async () => {
    const deadline = new AbortController();
    const late = new AppError("deadline-exceeded", "cannot finish stop: 5 ms have passed");
    agent.answer("hang");
    const waiting = client.status(deadline.signal);
    deadline.abort(late);
    await expect(waiting).rejects.toBe(late);
  });

  it("that cannot be signed is our own mistake, not the agent's silence", async () => {
    const command = { key: "not a key!", operation, epoch: 1 };
    await expect(client.withdraw(command, signal)).rejects.not.toHaveProperty("code", "agent-unreachable");
    expect(agent.heard).toHaveLength(0);
  });

  it.each([502, 503, 504])("is silent where something on the way to it answers %i", async (answered) => {
    agent.answer({ status: answered, text: "no endpoints" });
    await expect(client.status(AbortSignal.timeout(200))).rejects.toMatchObject({
      code: "agent-unreachable",
    });
  });

  it("refuses an answer that is not what was asked for", async () => {
    agent.answer({ status: 200, json: { ...status(), state: "asleep" } });
    await expect(client.status(signal)).rejects.toMatchObject({ code: "agent-failed" });
  });
});

describe("start", () => {
  it("binds the body to the token by its hash and waits by long poll", async () => {
    agent.answer(
      { status: 202, json: open("start") },
      { status: 200, json: open("start") },
      { status: 200, json: started() },
    );
    expect(await client.start(startCommand, signal)).toEqual(started().result);
    const [first, ...polls] = agent.heard;
    if (first?.command.kind !== "start") throw new Error("the first request is the start");
    assertBodyMatches(first.body, first.command.bodySha256);
    expect(JSON.parse(first.body)).toEqual(startCommand.body);
    expect(JSON.stringify(first.command)).not.toContain("secret");
    expect(polls.map(({ path }) => path.replace(/\d{2,}$/, "N"))).toEqual([
      `/v1/operations/${key}?waitMs=N`,
      `/v1/operations/${key}?waitMs=N`,
    ]);
  });

  it("throws what the agent says went wrong", async () => {
    agent.answer({ status: 202, json: { key, kind: "start", state: "failed", problem } });
    await expect(client.start(startCommand, signal)).rejects.toMatchObject({ code: "application-exited" });
  });

  it("refuses an answer about something else", async () => {
    agent.answer({ status: 202, json: { key, kind: "stop", state: "receipt", receipt: "r" } });
    await expect(client.start(startCommand, signal)).rejects.toMatchObject({ code: "agent-failed" });
  });
});

describe("a key that replaces another", () => {
  const dataKey = { accessKeyId: "AK", secretAccessKey: "secret" };

  it("is bound to the run, and to the token by its hash", async () => {
    const taken = { fetchedAt: null, oldUntil: "2026-01-01T00:05:30.000Z" };
    agent.answer({ status: 200, json: taken });
    expect(await client.replaceKey({ epoch: 3, run: run(), key: dataKey }, signal)).toEqual(taken);
    const [heard] = agent.heard;
    if (heard?.command.kind !== "keys") throw new Error("the request is about keys");
    expect({ epoch: heard.epoch, run: heard.command.run }).toEqual({ epoch: 3, run: run() });
    assertBodyMatches(heard.body, heard.command.bodySha256);
    expect(JSON.parse(heard.body)).toEqual({ key: dataKey });
    expect(JSON.stringify(heard.command)).not.toContain("secret");
  });

  it("is not taken when the agent says so, or says nothing that is meant", async () => {
    agent.answer({ problem: "wrong-state", detail: "cannot replace the key: nothing runs here" });
    const command = { epoch: 3, run: run(), key: dataKey };
    await expect(client.replaceKey(command, signal)).rejects.toMatchObject({ code: "wrong-state" });
    agent.answer({ status: 200, json: status() });
    await expect(client.replaceKey(command, signal)).rejects.toMatchObject({ code: "agent-failed" });
  });
});

describe("receipt", () => {
  it("is there once the operation has one", async () => {
    agent.answer(
      { status: 200, json: open("stop") },
      { status: 200, json: { key, kind: "stop", state: "receipt", receipt: "r" } },
    );
    expect(await client.receipt({ key, waitMs: 5_000 }, signal)).toBe("r");
  });

  it("is null when the agent never heard of the key", async () => {
    agent.answer({ problem: "unknown-operation", detail: "cannot show: none" });
    expect(await client.receipt({ key, waitMs: 5_000 }, signal)).toBeNull();
  });

  it("is null when the stop is still open after the wait", async () => {
    agent.answer({ status: 200, json: open("stop") });
    expect(await client.receipt({ key, waitMs: 0 }, signal)).toBeNull();
    expect(agent.heard.map(({ path }) => path)).toEqual([`/v1/operations/${key}?waitMs=0`]);
  });

  it("is an error, not null, when the agent cannot be asked or the stop failed", async () => {
    agent.answer({ status: 200, json: { key, kind: "stop", state: "failed", problem } });
    await expect(client.receipt({ key, waitMs: 0 }, signal)).rejects.toMatchObject({
      code: "application-exited",
    });
    await agent.close();
    await expect(client.receipt({ key, waitMs: 0 }, signal)).rejects.toMatchObject({
      code: "agent-unreachable",
    });
  });
});

describe("burn", () => {
  const burn = { key, operation, epoch: 3, grant: "g" };

  it("gives the receipt that the agent signed", async () => {
    agent.answer(
      { status: 202, json: open("burn") },
      { status: 200, json: { key, kind: "burn", state: "receipt", receipt: "r" } },
    );
    expect(await client.burn(burn, signal)).toBe("r");
  });

  it("never ends well without one", async () => {
    agent.answer({ status: 202, json: started() });
    await expect(client.burn(burn, signal)).rejects.toMatchObject({ code: "agent-failed" });
    agent.answer({ problem: "grant-refused", detail: "cannot burn: it was used" });
    await expect(client.burn(burn, signal)).rejects.toMatchObject({ code: "grant-refused" });
  });
});
