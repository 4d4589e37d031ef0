import { AppError } from "@baton/protocol";
import { readIfPresent, writeDurably } from "./durable-file.ts";
import { type Facts, noFacts } from "./facts.ts";

/** The durable facts. A change is either on disk or did not happen. */
export interface Journal {
  /** What is on disk. */
  readonly facts: Facts;
  /**
   * Makes one change, alone: `change` sees every earlier one. It may throw to refuse; then, and when it returns the very same facts,
   * nothing is written. `committed` runs before the next change does.
   */
  update(change: (facts: Facts) => Facts, committed?: (facts: Facts) => void): Promise<Facts>;
  /** Resolves when the changes that were asked for are made. */
  idle(): Promise<void>;
}

/** @throws AppError `agent-failed` when the file is there but is not ours: going on without it could start a second writer */
export async function openJournal(path: string): Promise<Journal> {
  let facts = parseFacts(await readIfPresent(path), path);
  let last: Promise<unknown> = Promise.resolve();
  return {
    get facts() {
      return facts;
    },
    update(change, committed) {
      const made = last.then(async () => {
        const next = change(facts);
        if (next !== facts) await writeDurably(path, JSON.stringify(next));
        facts = next;
        committed?.(facts);
        return facts;
      });
      last = made.catch(() => undefined);
      return made;
    },
    async idle() {
      await last;
    },
  };
}

function parseFacts(content: string | null, path: string): Facts {
  if (content === null) return noFacts;
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch (error) {
    throw new AppError(
      "agent-failed",
      `cannot read ${path}: it is not JSON; restore it or make a new placement`,
      {
        cause: error,
      },
    );
  }
  if (typeof value !== "object" || value === null || !("version" in value) || value.version !== 1)
    throw new AppError("agent-failed", `cannot read ${path}: it was written by another version of the agent`);
  return { ...noFacts, ...(value as Facts) };
}
