import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { presetNames, presets } from "./presets.ts";

let directory: string | null = null;
afterEach(async () => {
  if (directory !== null) await rm(directory, { recursive: true });
  directory = null;
});

/** Runs a preset's command with a client in its place that answers as `replies` (shell, `$*` is what it was asked), always with status 0. */
async function runWith(params: {
  client: string;
  replies: string;
  command: readonly string[];
  port?: string;
}) {
  directory = await mkdtemp(join(tmpdir(), "baton-presets-"));
  const calls = join(directory, "calls");
  const script = `#!/bin/sh\necho "$*" >> ${calls}\ncase "$*" in ${params.replies} esac\n`;
  await writeFile(join(directory, params.client), script, { mode: 0o755 });
  const [file = "", ...args] = params.command;
  const env = {
    PATH: `${directory}:${process.env["PATH"] ?? ""}`,
    ...(params.port !== undefined && { PORT: params.port }),
  };
  const ended = await new Promise<{ isDone: boolean; output: string }>((resolve) => {
    execFile(file, args, { env, timeout: 10_000 }, (error, stdout, stderr) =>
      resolve({ isDone: error === null, output: `${stdout}${stderr}` }),
    );
  });
  return { ...ended, calls: (await readFile(calls, "utf8")).trim().split("\n") };
}

describe("a preset", () => {
  it.each(presetNames)("%s signals with what the server takes as a request to end in order", (name) => {
    const { signal, gracefulExitCodes } = presets[name];
    const own: Partial<Record<typeof name, string>> = { postgres: "SIGINT", nginx: "SIGQUIT" };
    expect(signal).toBe(own[name] ?? "SIGTERM");
    expect(gracefulExitCodes).toEqual(name === "jvm" ? [0, 143] : [0]);
  });

  it.each(["mysql", "mariadb"] as const)(
    "%s reaches a server behind a wrapper that ignores signals",
    (name) => {
      expect(presets[name].signalTo).toBe("tree");
    },
  );
});

describe.each([
  ["redis", "redis-cli"],
  ["valkey", "valkey-cli"],
] as const)("the quiesce command of %s", (name, client) => {
  const { command = [], undo = [] } = presets[name].quiesce ?? {};

  it("pauses writers for longer than any stop takes, then saves", async () => {
    const { isDone, calls } = await runWith({ client, command, replies: "*) echo OK;;", port: "7001" });
    expect(isDone).toBe(true);
    expect(calls).toEqual(["-p 7001 client pause 3600000 write", "-p 7001 save"]);
  });

  it("waits for a save in the background to end, and saves then", async () => {
    const replies = `*save*) [ -e "$0.saved" ] && echo OK || { : > "$0.saved"; echo "ERR Background save already in progress"; };;
      *) echo OK;;`;
    const { isDone, calls } = await runWith({ client, command, replies });
    expect(isDone).toBe(true);
    expect(calls.map((call) => call.split(" ")[2])).toEqual(["client", "save", "save"]);
  });

  it("fails with the server's words when the save does, though an old client ends with 0", async () => {
    const replies = `*pause*) echo OK;; *) echo "ERR";;`;
    const { isDone, output, calls } = await runWith({ client, command, replies });
    expect(isDone).toBe(false);
    expect(output).toContain("ERR");
    expect(calls).toHaveLength(2);
  });

  it("fails and saves nothing where the server cannot pause writes alone", async () => {
    const replies = `*pause*) echo "ERR Unknown subcommand or wrong number of arguments for 'pause'";; *) echo OK;;`;
    const { isDone, output, calls } = await runWith({ client, command, replies });
    expect(isDone).toBe(false);
    expect(output).toContain("wrong number of arguments");
    expect(calls).toHaveLength(1);
  });

  it("fails when nothing answers", async () => {
    const replies = `*) echo "Could not connect to Redis" >&2;;`;
    const { isDone, output } = await runWith({ client, command, replies });
    expect(isDone).toBe(false);
    expect(output).toContain("Could not connect");
  });

  it("is taken back by letting writers go on", async () => {
    const { isDone, calls } = await runWith({ client, command: undo, replies: "*) echo OK;;" });
    expect(isDone).toBe(true);
    expect(calls).toEqual(["-p 6379 client unpause"]);
  });
});
