import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  agentConfigSchema,
  parseAs,
  createKeyPair,
  newOperationId,
  newPlacementId,
  verifyReceipt,
} from "@baton/protocol";
import { type OperationRecord, neverExecuted } from "./facts.ts";
import { createReceipts } from "./receipts.ts";

const placement = newPlacementId();
const config = parseAs(
  agentConfigSchema,
  {
    version: 1,
    placement,
    application: "ledger",
    stateDirectory: "/nowhere",
    listen: null,
    workload: { command: ["true"] },
    hook: {},
    readiness: null,
  },
  "it",
);
const run = { placement, instance: "0".repeat(32), counter: 1 };
const record: OperationRecord = {
  key: "op.stop.1",
  kind: "stop",
  operation: newOperationId(),
  epoch: 1,
  run,
  grant: null,
  receivedAt: new Date().toISOString(),
  deadlineMs: 1_000,
  late: false,
  progress: { state: "open" },
  confirmation: "none",
  copy: "none",
};
const ending = neverExecuted("f94b6af7-5d19-4fca-8b95-095bd5ba708b", new Date().toISOString());

describe("receipts on disk", () => {
  let directory = "";
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "baton-receipts-"));
  });
  afterEach(() => rm(directory, { recursive: true }));

  it("stay as they were written first", async () => {
    const { privateKey, publicKey } = await createKeyPair();
    const receipts = createReceipts({ directory, config, key: async () => privateKey });
    expect(await receipts.write(record, ending)).toBe("written");
    const first = await receipts.read(record.key);
    expect(await receipts.write(record, { ...ending, outcome: "forced" })).toBe("present");
    expect(await receipts.read(record.key)).toBe(first);
    expect(await verifyReceipt(first, publicKey)).toMatchObject({ outcome: "already-stopped" });
  });

  it("case 38: are never served torn, and a torn one is written anew", async () => {
    const { privateKey, publicKey } = await createKeyPair();
    const receipts = createReceipts({ directory, config, key: async () => privateKey });
    await receipts.write(record, ending);
    const path = join(directory, `${record.key}.jws`);
    const whole = await readFile(path, "utf8");
    for (const torn of [
      "",
      whole.slice(0, 40),
      whole.slice(0, -1),
      `${whole.slice(0, -9)}\0\0\0\0\0\0\0\0\0`,
    ]) {
      await writeFile(path, torn);
      await expect(receipts.read(record.key)).rejects.toThrow("its file is damaged");
      expect(await receipts.write(record, ending)).toBe("written");
      expect(await verifyReceipt(await receipts.read(record.key), publicKey)).toMatchObject({ run });
    }
  });
});
