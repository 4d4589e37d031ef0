import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openJournal } from "./journal.ts";

let directory: string;
let path: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "baton-journal-"));
  path = join(directory, "journal");
});
afterEach(() => rm(directory, { recursive: true, force: true }));

describe("the journal", () => {
  it("makes changes one after the other, each durable before it is seen", async () => {
    const journal = await openJournal(path);
    const seen: number[] = [];
    await Promise.all(
      [1, 2, 3].map(() =>
        journal.update((facts) => {
          seen.push(facts.epoch);
          return { ...facts, epoch: facts.epoch + 1 };
        }),
      ),
    );
    expect(seen).toEqual([0, 1, 2]);
    expect(JSON.parse(await readFile(path, "utf8"))).toMatchObject({ epoch: 3 });
    expect((await openJournal(path)).facts.epoch).toBe(3);
  });

  it("changes nothing when the change is refused or cannot be written", async () => {
    const journal = await openJournal(path);
    await expect(
      journal.update(() => {
        throw new Error("refused");
      }),
    ).rejects.toThrow("refused");
    await rm(directory, { recursive: true });
    await expect(journal.update((facts) => ({ ...facts, epoch: 9 }))).rejects.toMatchObject({
      code: "ENOENT",
    });
    expect(journal.facts.epoch).toBe(0);
  });

  it("is never replaced by an empty one when it cannot be read", async () => {
    for (const content of ["{", "[]", '{"version":2}']) {
      await writeFile(path, content);
      await expect(openJournal(path)).rejects.toMatchObject({ code: "agent-failed" });
    }
  });
});
