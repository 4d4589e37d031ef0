import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

const main = join(import.meta.dirname, "main.ts");
let directory = "";
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "baton-look-"));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

interface Looked {
  readonly lock: unknown;
  readonly endpoint: unknown;
  readonly processes: readonly { readonly pid: number; readonly parent: number; readonly command: string }[];
}

const look = async (): Promise<Looked> => {
  const { stdout } = await promisify(execFile)(process.execPath, [
    main,
    "look",
    "--state-directory",
    directory,
  ]);
  return JSON.parse(stdout) as Looked;
};

describe("baton-agent look", () => {
  it("prints what the last agent wrote of itself, and null for what is not whole", async () => {
    expect(await look()).toMatchObject({ lock: null, endpoint: null });
    await writeFile(join(directory, "lock"), '{"pid":1}');
    await writeFile(join(directory, "endpoint.json"), '{"url":');
    expect(await look()).toMatchObject({ lock: { pid: 1 }, endpoint: null });
  });

  it("lists the living processes with their parents and words, and not the dead", async () => {
    const child = spawn("sleep", ["30"]);
    const { pid = 0 } = child;
    expect((await look()).processes).toContainEqual({ pid, parent: process.pid, command: "sleep 30" });
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
    expect((await look()).processes.map((each) => each.pid)).not.toContain(pid);
  });
});
