#!/usr/bin/env node
import { parseArgs } from "node:util";
import { type AgentConfig, AppError, isAppError } from "@baton/protocol";
import { openObjectStore } from "@baton/storage";
import { type Agent, startAgent } from "./agent.ts";
import { readConfig, readControlKey } from "./config.ts";
import { createLog, reasonOf } from "./log.ts";
import { agentVersion } from "./version.ts";

const usage = "usage: baton-agent run --config FILE | baton-agent --version";
const log = createLog((line) => process.stderr.write(line), { name: "baton-agent", pid: process.pid });

let agent: Agent | null = null;
let ending: Promise<void> | null = null;
let isToldToEnd = false;

// A log reader that went away must not take the agent with it.
process.stderr.on("error", () => {});
process.stdout.on("error", () => {});
// Without a listener Node opens its debugger on SIGUSR1, and dies of SIGHUP.
process.on("SIGUSR1", () => {});
process.on("SIGHUP", () => {});
for (const signal of ["SIGTERM", "SIGINT"] as const)
  process.on(signal, () => {
    isToldToEnd = true;
    end();
  });
for (const event of ["uncaughtException", "unhandledRejection"] as const)
  process.on(event, (error: unknown) => {
    // The application runs on; the next life of the agent adopts it.
    log("error", "the agent failed", { reason: reasonOf(error) });
    process.exit(70);
  });

/** A second signal joins the end that is under way, or tries again after one that was refused. */
function end(): void {
  if (agent === null || ending !== null) return;
  ending = agent.shutDown().then((isGone) => {
    ending = null;
    if (isGone) process.exit(0);
    log("error", "the agent stays: the application is not proven to be gone");
  });
}

function readArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: { config: { type: "string" }, version: { type: "boolean" } },
    });
  } catch (error) {
    throw new AppError("invalid-configuration", usage, { cause: error });
  }
}

async function main(): Promise<void> {
  const { values, positionals } = readArguments();
  if (values.version === true) {
    process.stdout.write(`${agentVersion}\n`);
    return;
  }
  if (positionals.length !== 1 || positionals[0] !== "run" || values.config === undefined)
    throw new AppError("invalid-configuration", usage);
  const config = await readConfig(values.config);
  const store = config.storage === null ? null : await openStore(config.storage);
  agent = await startAgent({ config, store, log, environment: process.env });
  if (isToldToEnd) end();
}

async function openStore(storage: NonNullable<AgentConfig["storage"]>) {
  const { endpoint, region, bucket } = storage;
  return openObjectStore({ endpoint, region, bucket, accessKey: await readControlKey(storage) });
}

main().catch((error: unknown) => {
  const code = isAppError(error) ? error.code : "internal";
  log("error", reasonOf(error), { code });
  process.exit(code === "invalid-configuration" || code === "secret-unavailable" ? 2 : 1);
});
