import { existsSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type AgentConfig, AppError, type PrivateKey, type Receipt, signReceipt } from "@baton/protocol";
import { writeDurably } from "./durable-file.ts";
import type { Ending, OperationRecord } from "./facts.ts";
import { agentVersion } from "./version.ts";

/** A compact JWS with an Ed25519 signature (64 bytes). What a damaged disk left of one is shorter, empty, or none. */
const wholeReceipt = /^[\w-]+\.[\w-]+\.[\w-]{86}$/;

/** The signed receipts below `receipts/`: one per key, never written twice. */
export interface Receipts {
  has(key: string): boolean;
  /** The very bytes that were written. @throws when there is none, or a damaged one */
  read(key: string): Promise<string>;
  /** Signs and makes durable; when there is one already, that one stays, unless it is damaged. */
  write(record: OperationRecord, ending: Ending): Promise<"written" | "present">;
}

export function createReceipts(deps: {
  readonly directory: string;
  readonly config: AgentConfig;
  /** Made or read when it is needed first: signing is not what a start waits for. */
  readonly key: () => Promise<PrivateKey>;
}): Receipts {
  const { directory, config, key: privateKey } = deps;
  // A key has no slash (commandKeySchema), so it is a file name whatever else it holds.
  const pathOf = (key: string): string => join(directory, `${key}.jws`);
  return {
    has: (key) => existsSync(pathOf(key)),
    async read(key) {
      const receipt = await readFile(pathOf(key), "utf8");
      if (wholeReceipt.test(receipt)) return receipt;
      throw new AppError("agent-failed", `cannot show the receipt of ${key}: its file is damaged`);
    },
    async write(record, ending) {
      if (existsSync(pathOf(record.key)) && wholeReceipt.test(readFileSync(pathOf(record.key), "utf8")))
        return "present";
      const { outcome, evidenceClass, exit, signals, phases, timings, evidence } = ending;
      const receipt: Receipt = {
        version: 1,
        key: record.key,
        operation: record.operation,
        application: config.application,
        placement: config.placement,
        epoch: record.epoch,
        run: record.run,
        outcome: record.late && record.kind === "stop" ? "already-stopped" : outcome,
        evidenceClass,
        exit,
        signals: [...signals],
        phases,
        timings: { receivedAt: record.receivedAt, ...timings },
        evidence,
        agentVersion,
      };
      await writeDurably(pathOf(record.key), await signReceipt(receipt, await privateKey()));
      return "written";
    },
  };
}
