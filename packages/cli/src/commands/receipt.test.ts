import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Receipt, createKeyPair, signReceipt } from "@baton/protocol";
import { afterEach, beforeEach, expect, it } from "vitest";
import { runProgram } from "../fixtures/run-program.ts";

const main = fileURLToPath(new URL("../main.ts", import.meta.url));
const baton = (...args: readonly string[]) => runProgram(main, args).ended;
const at = "2026-01-01T00:00:00.000Z";
const placement = "pl-00000000000000000001";
const receipt: Receipt = {
  version: 1,
  key: "op-00000000000000000000.stop.1",
  operation: "op-00000000000000000000",
  application: "ledger",
  placement,
  epoch: 1,
  run: { placement, instance: "1", counter: 1 },
  outcome: "graceful",
  evidenceClass: "proven",
  exit: { code: 0, signal: null },
  signals: [{ signal: "SIGTERM", at, processes: 2 }],
  timings: { receivedAt: at, signalledAt: at, exitedAt: at, verifiedAt: at, stopMs: 12 },
  phases: [],
  evidence: {
    treeGone: true,
    remaining: [],
    checks: [{ check: "ports", state: "passed", detail: [] }],
    bootId: "b",
  },
  agentVersion: "0.1.0",
};

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "baton-receipt-"));
});
afterEach(() => rm(directory, { recursive: true }));

async function exported(changes: object = {}) {
  const { publicKey, privateKey } = await createKeyPair();
  const jws = await signReceipt(receipt, privateKey);
  const file = join(directory, "receipts.jsonl");
  await writeFile(file, `${JSON.stringify({ placement, publicKey, jws, ...changes })}\n`);
  return { file, key: publicKey.x };
}

it("verifies an exported receipt with nothing but the file, and says what it states", async () => {
  const { file, key } = await exported();
  const { status, stdout } = await baton("receipt", "verify", file);
  expect({ status, stdout }).toMatchObject({ status: 0 });
  expect(stdout).toContain(`verified: ledger, ${placement}, epoch 1, run ${placement}.1.1`);
  expect(stdout).toContain("outcome    graceful, proven");
  expect(stdout).toContain("SIGTERM to 2");
  const json = await baton("--output", "json", "receipt", "verify", file, "--key", key);
  expect(JSON.parse(json.stdout)).toMatchObject({ verified: true, key, receipt: { outcome: "graceful" } });
});

it("refuses another key than is trusted, another placement, a changed text, and what is no receipt", async () => {
  const other = (await createKeyPair()).publicKey;
  const { file } = await exported();
  const refusal = async (...args: readonly string[]) => {
    const { status, stderr } = await baton("receipt", "verify", ...args);
    return { status, stderr };
  };
  expect(await refusal(file, "--key", other.x)).toMatchObject({
    status: 1,
    stderr: expect.stringContaining("signed by another key than the given one") as string,
  });
  for (const changes of [
    { publicKey: other },
    { placement: "pl-00000000000000000002" },
    { jws: "a.b.c" },
    { jws: 1 },
  ])
    expect(await refusal((await exported(changes)).file)).toMatchObject({ status: 1 });
  await writeFile(file, "\n");
  expect(await refusal(file)).toMatchObject({
    status: 1,
    stderr: expect.stringContaining("it holds none") as string,
  });
  expect(await refusal(join(directory, "missing"))).toMatchObject({ status: 1 });
});
