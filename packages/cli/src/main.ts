import { homedir } from "node:os";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { keepCompiled, writeCompiled } from "./compile-cache.ts";
import { readConfiguration } from "./configuration.ts";
import { interruptOnSignals } from "./interruption.ts";
import { runBaton } from "./run-baton.ts";

/** How long what a finished command left open may keep the process. */
const lingerMs = 5_000;

process.exitCode = await runBaton(process.argv.slice(2), {
  configure: () => readConfiguration(process.env, { uid: process.getuid?.() ?? -1, home: homedir() }),
  stdout: process.stdout,
  stderr: process.stderr,
  readInput: () => text(process.stdin),
  signal: interruptOnSignals(),
  // Loaded only here: it is by far the largest part, and only one command needs it.
  startOrchestrator: async (config) => {
    keepCompiled(config.stateDirectory);
    const { startOrchestrator } = await import("@baton/orchestrator");
    const running = await startOrchestrator(config);
    writeCompiled();
    return running;
  },
  agentCommand: () => [process.execPath, fileURLToPath(import.meta.resolve("@baton/agent/main"))],
});
setTimeout(() => process.exit(), lingerMs).unref();
