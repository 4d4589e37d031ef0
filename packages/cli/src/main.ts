import { homedir } from "node:os";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { readConfiguration } from "./configuration.ts";
import { Interruption } from "./interruption.ts";
import { runBaton } from "./run-baton.ts";

/** How long what a finished command left open may keep the process. */
const lingerMs = 5_000;

const interruption = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const)
  process.on(name, () => {
    const reason = new Interruption(name);
    if (interruption.signal.aborted) process.exit(reason.status);
    interruption.abort(reason);
  });
// Whoever read the output has gone, as `head` does: nobody is left to tell.
process.stdout.on("error", () => process.exit(1));

process.exitCode = await runBaton(process.argv.slice(2), {
  configure: () => readConfiguration(process.env, { uid: process.getuid?.() ?? -1, home: homedir() }),
  stdout: process.stdout,
  stderr: process.stderr,
  readInput: () => text(process.stdin),
  signal: interruption.signal,
  // Loaded only here: it is by far the largest part, and only one command needs it.
  startOrchestrator: async (config) => (await import("@baton/orchestrator")).startOrchestrator(config),
  agentCommand: () => [process.execPath, fileURLToPath(import.meta.resolve("@baton/agent/main"))],
});
setTimeout(() => process.exit(), lingerMs).unref();
