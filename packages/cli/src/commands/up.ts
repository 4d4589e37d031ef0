import { once } from "node:events";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { AppError } from "@baton/protocol";
import type { RunningOrchestrator } from "@baton/orchestrator";
import type { ListenAddress } from "../listen-address.ts";
import type { CommandContext, GlobalOptions } from "./session.ts";

const stopMs = 60_000;
const usualAddress: ListenAddress = { host: "127.0.0.1", port: 7420 };

export interface UpOptions extends GlobalOptions {
  readonly state?: string;
  readonly listen?: ListenAddress;
}

/** Runs the orchestrator until it is asked to stop; then returns. @throws when it cannot start, cannot go on, or does not stop in time. */
export async function up(context: CommandContext, options: UpOptions): Promise<void> {
  const configuration = context.configure();
  const { adminTokenFile, commandKeyFile, keepDays, publicUrl } = configuration;
  const { databaseUrl, databaseUrlFile, fault, logLevel, plainHttp, probeEveryMs, tls } = configuration;
  const stateDirectory = resolve(options.state ?? configuration.stateDirectory);
  const running = await context.startOrchestrator({
    stateDirectory,
    adminTokenFile,
    commandKeyFile,
    publicUrl,
    listen: { ...(options.listen ?? configuration.listen ?? usualAddress), tls, plainHttp },
    databaseUrl,
    databaseUrlFile,
    agentCommand: configuration.agentCommand ?? context.agentCommand(),
    fault,
    probeEveryMs,
    keepDays,
    logLevel,
  });
  const tokenFile = adminTokenFile ?? join(stateDirectory, "admin-token");
  context.stdout.write(
    options.output === "json"
      ? `${JSON.stringify({ url: running.url, tokenFile })}\n`
      : `baton listens on ${running.url}\nthe admin token is in ${tokenFile}\n`,
  );
  try {
    // The signal may have come while it was starting.
    if (!context.signal.aborted) await Promise.race([once(context.signal, "abort"), running.failed]);
  } finally {
    await stopInTime(running);
  }
}

async function stopInTime(running: RunningOrchestrator): Promise<void> {
  const stopped = running.stop().then(() => true);
  // Either side may come too late to be heard; neither may then be an unhandled rejection.
  running.failed.catch(() => undefined);
  const inTime = await Promise.race([stopped, delay(stopMs, false, { ref: false })]);
  if (!inTime)
    throw new AppError("deadline-exceeded", `cannot stop the orchestrator: not stopped in ${stopMs} ms`);
}
