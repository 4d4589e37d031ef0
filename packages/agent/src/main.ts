#!/usr/bin/env node
import { endOnSignals } from "./early-signals.ts";
import { isAppError } from "@baton/protocol";
import { reasonOf } from "./log.ts";
import { agentVersion } from "./version.ts";

const usage = `usage: baton-agent run [options] -- COMMAND…    executes the command, stops it with proof, holds it
       baton-agent attach [options]             does the same for what another container executes
       baton-agent gate DIRECTORY               prints the shell program that holds a command for attach
       baton-agent stop [--wait] [--deadline-ms N] [--state-directory DIR]
       baton-agent status [--explain] [--json] [--state-directory DIR]
       baton-agent look [--state-directory DIR]      who is here, and every process, as JSON
       baton-agent check-config run|attach [options] [-- COMMAND…]
       baton-agent --help | --version`;

async function main(): Promise<void> {
  const [command, ...args] = process.argv.slice(2);
  const { env } = process;
  switch (command) {
    case "run":
    case "attach":
      return (await import("./commands/run.ts")).run(command, args, env);
    case "stop":
      endOnSignals();
      return (await import("./commands/stop.ts")).stop(args, env);
    case "status":
      endOnSignals();
      return (await import("./commands/status.ts")).status(args, env);
    case "look":
      endOnSignals();
      return (await import("./commands/look.ts")).look(args, env);
    case "check-config":
      endOnSignals();
      return (await import("./commands/check-config.ts")).checkConfig(args, env);
    case "--version":
      process.stdout.write(`${agentVersion}\n`);
      return;
    case "--help":
      process.stdout.write(`${usage}\n\n${(await import("./commands/help.ts")).optionsInWords()}`);
      return;
    default:
      process.stderr.write(`${usage}\n`);
      process.exitCode = 2;
  }
}

main().catch((error: unknown) => {
  process.stderr.write(`baton-agent: ${reasonOf(error)}\n`);
  const code = isAppError(error) ? error.code : "internal";
  process.exit(code === "invalid-configuration" || code === "secret-unavailable" ? 2 : 1);
});
