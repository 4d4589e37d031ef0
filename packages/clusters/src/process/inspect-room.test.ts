import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { inspectRoom } from "./inspect-room.ts";

describe("what is there for one more placement", () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "room-"));
    await mkdir(join(directory, "bin"));
    await writeFile(join(directory, "bin", "ledger"), "");
    await chmod(join(directory, "bin", "ledger"), 0o755);
    await writeFile(join(directory, "bin", "notes"), "");
  });
  afterEach(async () => rm(directory, { recursive: true }));
  const missingFor = async (command: string[], rest: { PATH?: string; workingDirectory?: string } = {}) => {
    const { workingDirectory, PATH } = rest;
    const { missing } = await inspectRoom(directory, {
      command,
      environment: PATH === undefined ? {} : { PATH },
      ...(workingDirectory === undefined ? {} : { workingDirectory }),
    });
    return missing;
  };

  it("finds a program by its path, from the working directory, and in the workload's own PATH", async () => {
    expect(await missingFor([join(directory, "bin", "ledger")])).toEqual([]);
    expect(await missingFor(["bin/ledger"], { workingDirectory: directory })).toEqual([]);
    expect(await missingFor(["ledger"], { PATH: `:${join(directory, "bin")}` })).toEqual([]);
    expect(await missingFor(["sh"])).toEqual([]);
  });

  it("misses what is not there, or may not be executed, and a working directory that is none", async () => {
    expect(await missingFor(["ledger"])).toEqual(['program "ledger"']);
    expect(await missingFor([join(directory, "bin", "notes")])).toHaveLength(1);
    const nowhere = join(directory, "nowhere");
    expect(await missingFor(["sh"], { workingDirectory: nowhere })).toEqual([`directory "${nowhere}"`]);
  });

  it("tells what is free, and that it cannot be said", async () => {
    const workload = { command: ["sh"], environment: {} };
    expect((await inspectRoom(directory, workload)).freeBytes).toBeGreaterThan(0);
    expect((await inspectRoom(join(directory, "nowhere"), workload)).freeBytes).toBeNull();
  });
});
