import { writeFile } from "node:fs/promises";
import { isAppError } from "@baton/protocol";
import { type ObjectStore, putReceipt } from "@baton/storage";
import { type AgentContext, insist, note } from "./agent-context.ts";
import { type Ending, type OperationRecord, changeOperation } from "./facts.ts";
import { reasonOf } from "./log.ts";

const copyMs = 2_000;
/** Bytes that a platform takes as a container's last word (Kubernetes: terminationMessagePath). */
const terminationLogBytes = 4_096;

/** Makes a receipt durable, then tells everybody of it. */
export interface Finisher {
  /**
   * The receipt is on disk before anybody can see it, and in the bucket too if that can be (rule 17).
   *
   * @param untilAt when to give up on a disk that takes nothing, on the clock of `performance.now()`
   * @throws what the disk said, only after `untilAt`
   */
  finish(record: OperationRecord, ending: Ending, untilAt?: number): Promise<void>;
  /** Takes up what an earlier life of the agent left untold. */
  resume(record: OperationRecord): void;
  close(): void;
}

export function createFinisher(context: AgentContext, store: ObjectStore | null): Finisher {
  const { config, journal, receipts, confirmations, effects, operations, log } = context;
  const { storage, terminationLog } = config;
  let isClosed = false;

  const copyToBucket = async (key: string, timeoutMs: number): Promise<boolean> => {
    if (store === null || storage === null) return false;
    const jws = await receipts.read(key);
    await putReceipt({ store, prefix: storage.prefix, key, jws, timeoutMs });
    await note(context, (facts) => changeOperation(facts, key, { copy: "bucket" }));
    return true;
  };

  /** The store may be back later; until then the receipt says "local only". */
  const keepCopying = async (key: string): Promise<void> => {
    for (let pauseMs = 1_000; !isClosed; pauseMs = Math.min(60_000, pauseMs * 2)) {
      await new Promise((resolve) => setTimeout(resolve, pauseMs).unref());
      if (isClosed) return;
      try {
        await copyToBucket(key, copyMs);
        operations.changed(key);
        return;
      } catch (error) {
        log("warn", "the receipt is local only", { key, reason: reasonOf(error) });
        if (isAppError(error) && error.code === "command-conflict") return;
      }
    }
  };

  const tellPlatform = async (key: string, { outcome, evidenceClass, exit }: Ending): Promise<void> => {
    if (terminationLog === null) return;
    const whole = JSON.stringify({
      key,
      outcome,
      evidenceClass,
      exit,
      receipt: await receipts.read(key).catch(() => null),
    });
    const short = JSON.stringify({ key, outcome, evidenceClass, exit });
    const word = Buffer.byteLength(whole) <= terminationLogBytes ? whole : short;
    await writeFile(terminationLog, word).catch((error: unknown) =>
      log("warn", "the termination log could not be written", { reason: reasonOf(error) }),
    );
  };

  const confirm = async (record: OperationRecord): Promise<void> => {
    if (record.confirmation === "pending") confirmations.send(record.key, await receipts.read(record.key));
  };

  return {
    async finish(record, ending, untilAt) {
      const { key, operation, epoch } = record;
      const until = (): number => Math.min(untilAt ?? Number.POSITIVE_INFINITY, context.patience.endsAt);
      try {
        const result = await insist(log, "write the receipt", () => receipts.write(record, ending), until);
        if (result === "written")
          await effects.record({ effect: "receipt", operation, key, epoch }).catch(() => undefined);
      } catch (error) {
        await tellPlatform(key, ending);
        throw error;
      }
      const copied = copyToBucket(key, copyMs).catch((error: unknown) => {
        log("warn", "the receipt is local only", { key, reason: reasonOf(error) });
        return false;
      });
      const [isCopied] = await Promise.all([copied, tellPlatform(key, ending)]);
      await insist(
        log,
        "write the journal",
        () =>
          journal.update((facts) =>
            changeOperation(facts, key, {
              progress: { state: "receipt" },
              ...(store === null && { copy: "none" }),
            }),
          ),
        until,
      );
      operations.changed(key);
      if (!isCopied && store !== null) void keepCopying(key);
      await confirm(record);
    },
    resume(record) {
      if (record.progress.state !== "receipt") return;
      if (record.copy === "pending" && store !== null) void keepCopying(record.key);
      confirm(record).catch((error: unknown) =>
        log("error", "the receipt cannot be read", { key: record.key, reason: reasonOf(error) }),
      );
    },
    close() {
      isClosed = true;
    },
  };
}
