import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type AgentConfig,
  type Command,
  createKeyPair,
  newOperationId,
  newPlacementId,
  signCommand,
} from "@baton/protocol";
import { beforeAll, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { withNonce, withTerm } from "./admit-command.ts";
import { type CommandGate, createCommandGate } from "./command-gate.ts";
import { noFacts, withOperation } from "./facts.ts";
import { type Journal, openJournal } from "./journal.ts";

const placement = newPlacementId();
const run = { placement, instance: "i1", counter: 1 };
let keys: Awaited<ReturnType<typeof createKeyPair>>;
let path: string;
let journal: Journal;
let gate: CommandGate;
const open = async (): Promise<void> => {
  journal = await openJournal(path);
  const config = { placement, commandKey: keys.publicKey } as AgentConfig;
  gate = createCommandGate({ config, journal });
};
beforeAll(async () => {
  keys = await createKeyPair();
});
beforeEach(async () => {
  const directory = await mkdtemp(join(tmpdir(), "baton-term-"));
  onTestFinished(() => rm(directory, { recursive: true }));
  path = join(directory, "journal.json");
  await open();
});

const stopOf = (operation: string): Command => ({
  kind: "stop",
  key: `${operation}.stop.1`,
  operation,
  run,
  deadlineMs: 1_000,
});
async function pass(command: Command, term?: number) {
  const token = await signCommand({ key: keys.privateKey, placement, epoch: 1, command, term });
  return gate.pass(`Bearer ${token}`, command.kind);
}
/** As if the agent had accepted it. */
async function accept(command: Command, term?: number): Promise<void> {
  const verified = await pass(command, term);
  await journal.update((facts) => withNonce(facts, verified));
}

describe("a command of an older life of its operation", () => {
  it("is refused once a newer one commanded, over restarts too", async () => {
    const operation = newOperationId();
    await accept(stopOf(operation), 2);
    await expect(pass(stopOf(operation), 1)).rejects.toMatchObject({ code: "stale-term" });
    await open();
    for (const kind of ["withdraw", "stop"] as const) {
      const command = { ...stopOf(operation), key: `${operation}.other.1` };
      const late: Command = kind === "stop" ? (command as Command) : { kind, key: command.key, operation };
      await expect(pass(late, 1)).rejects.toMatchObject({ code: "stale-term" });
    }
    await expect(pass(stopOf(operation))).rejects.toMatchObject({ code: "stale-term" });
    await pass(stopOf(operation), 2);
    await pass(stopOf(operation), 3);
  });

  it("is refused also if the newer one only joined what was there", async () => {
    const operation = newOperationId();
    const verified = await pass(stopOf(operation), 1);
    await journal.update((facts) =>
      withOperation(withNonce(facts, verified), { key: `${operation}.stop.1` } as never),
    );
    await pass(stopOf(operation), 2);
    await open();
    await expect(pass(stopOf(operation), 1)).rejects.toMatchObject({ code: "stale-term" });
  });

  it("says nothing of another operation", async () => {
    await accept(stopOf(newOperationId()), 5);
    expect(await pass(stopOf(newOperationId()), 1)).toMatchObject({ term: 1 });
    expect(await pass(stopOf(newOperationId()))).toMatchObject({ term: 0 });
  });

  it("never makes the agent forget the newer one", async () => {
    const operation = newOperationId();
    await accept(stopOf(operation), 3);
    const older = { ...(await pass(stopOf(operation), 3)), term: 1 };
    expect(withTerm(journal.facts, older)).toBe(journal.facts);
    expect(withNonce(journal.facts, older).terms).toEqual({ [operation]: 3 });
  });

  it("is known of the last operations", async () => {
    const operations = Array.from({ length: 100 }, newOperationId);
    let facts = noFacts;
    for (const operation of operations)
      facts = withTerm(facts, { command: stopOf(operation), term: 1, epoch: 1, nonce: "n", expiresAt: 0 });
    expect(Object.keys(facts.terms)).toEqual(operations.slice(-64));
  });
});
