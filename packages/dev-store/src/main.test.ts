import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readCommitLog, readCommittedBody } from "./commit-log.ts";
import { send, temporaryDirectory, testKeys } from "./test-store.ts";

const main = join(import.meta.dirname, "main.ts");
const started: ChildProcess[] = [];
let directory: string;
let keysFile: string;
let remove: () => Promise<void>;

beforeEach(async () => {
  ({ directory, remove } = await temporaryDirectory());
  keysFile = join(directory, "keys.json");
  await writeFile(keysFile, JSON.stringify(testKeys));
});
afterEach(async () => {
  for (const child of started.splice(0)) await stop(child, "SIGKILL");
  await remove();
});

function start(extra: ReadonlyArray<string> = []): ChildProcess {
  const child = spawn(
    process.execPath,
    [main, "--directory", join(directory, "data"), "--keys", keysFile, ...extra],
    {
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  started.push(child);
  return child;
}

async function ready(child: ChildProcess): Promise<string> {
  if (child.stdout === null) throw new Error("no stdout");
  const [line] = (await once(createInterface(child.stdout), "line")) as [string];
  const message = JSON.parse(line) as { ready: boolean; endpoint: string };
  expect(message).toEqual({ ready: true, endpoint: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/) });
  return message.endpoint;
}

async function stop(child: ChildProcess, signal: NodeJS.Signals): Promise<{ code: number | null }> {
  if (child.exitCode === null && child.signalCode === null) {
    const exit = once(child, "exit");
    child.kill(signal);
    await exit;
  }
  return { code: child.exitCode };
}

/** Writes objects from 8 clients until the store dies under them; gives the acknowledged ones. */
async function burst(endpoint: string, round: number, onAcknowledged: (count: number) => void) {
  const acknowledged = new Map<string, string>();
  const client = async (id: number): Promise<void> => {
    for (let at = 0; ; at += 1) {
      const key = `r${round}-c${id}-${at}`;
      const body = `${key} `.repeat(100);
      const answer = await send({ method: "PUT", url: `${endpoint}/harbor/${key}`, body }).catch(
        () => undefined,
      );
      if (answer === undefined) return;
      expect(answer.status).toBe(200);
      acknowledged.set(key, body);
      onAcknowledged(acknowledged.size);
    }
  };
  await Promise.all(Array.from({ length: 8 }, (_, id) => client(id)));
  return acknowledged;
}

describe("the command line", () => {
  it("has every acknowledged write after kill -9 in the middle of a burst", async () => {
    const acknowledged = new Map<string, string>();
    for (const [round, killAfter] of [150, 151, 152].entries()) {
      const child = start();
      const endpoint = await ready(child);
      const written = await burst(endpoint, round, (count) => {
        if (count === killAfter) child.kill("SIGKILL");
      });
      expect(written.size).toBeGreaterThanOrEqual(killAfter);
      for (const [key, body] of written) acknowledged.set(key, body);
    }

    const endpoint = await ready(start());
    const log = await readCommitLog(join(directory, "data"));
    expect(log.map((entry) => entry.sequence)).toEqual(log.map((_, at) => at + 1));
    const committed = new Map(log.map((entry) => [entry.key, entry]));
    for (const [key, body] of acknowledged) {
      const entry = committed.get(key);
      const stored = entry && (await readCommittedBody(join(directory, "data"), entry));
      expect(Buffer.from(stored ?? []).toString()).toBe(body);
    }
    const [key = "", body] = [...acknowledged].at(-1) ?? [];
    expect((await send({ method: "GET", url: `${endpoint}/harbor/${key}` })).text).toBe(body);
  });

  it.each(["SIGTERM", "SIGINT"] as const)(
    "ends with 0 on %s, having said what it is not for",
    async (signal) => {
      const child = start();
      let log = "";
      child.stderr?.on("data", (chunk: Buffer) => (log += chunk.toString()));
      const endpoint = await ready(child);
      await send({ method: "PUT", url: `${endpoint}/harbor/a`, body: "x" });
      expect(await stop(child, signal)).toEqual({ code: 0 });
      expect(log).toContain("never for production");
    },
  );

  it("ignores conditions when told to", async () => {
    const endpoint = await ready(start(["--faults", "ignore-conditions"]));
    const headers = { "if-match": '"stale"' };
    expect((await send({ method: "PUT", url: `${endpoint}/harbor/a`, body: "x", headers })).status).toBe(200);
  });

  it.each([
    ["an unknown fault", ["--faults", "everything"], 2, "knows ignore-conditions"],
    ["an unknown option", ["--prot", "1"], 2, "usage:"],
    ["a keys file that is missing", ["--keys", "/nowhere/keys.json"], 1, "cannot use the keys file"],
  ])("ends with an error for %s", async (_, extra, code, message) => {
    const child = start(extra);
    let log = "";
    child.stderr?.on("data", (chunk: Buffer) => (log += chunk.toString()));
    await once(child, "close");
    expect({ code: child.exitCode, log }).toEqual({ code, log: expect.stringContaining(message) });
  });
});
