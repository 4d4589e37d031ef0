import type { AgentConfig } from "@baton/protocol";
import { type Agent, startAgent } from "../agent.ts";
import { type Mode, assertWritable, readConfig } from "../config.ts";
import { handleSignals } from "../early-signals.ts";
import { exitStatus } from "../exit-code.ts";
import { findProgram } from "../find-program.ts";
import { closeInheritedFiles } from "../inherited-files.ts";
import { openLogWriter } from "../log-writer.ts";
import { createLog, reasonOf } from "../log.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Is the agent until the platform, or the application's own end, ends it. */
export async function run(mode: Mode, args: readonly string[], environment: Environment): Promise<void> {
  closeInheritedFiles();
  const log = createLog(openLogWriter(), { name: "baton-agent", pid: process.pid });
  // Log readers may go away; that must not take the agent with them.
  process.stderr.on("error", () => {});
  process.stdout.on("error", () => {});
  for (const event of ["uncaughtException", "unhandledRejection"] as const)
    process.on(event, (error: unknown) => {
      // The application runs on; the next life of the agent adopts it.
      log("error", "the agent failed", { reason: reasonOf(error) });
      process.exit(70);
    });

  const config = readConfig(mode, args, environment);
  assertWritable(config.stateDirectory);
  const krake =
    config.krake === null
      ? null
      : (await import("../krake-credentials.ts")).readKrakeCredentials(config.krake, environment);
  if (refusesCommand(config, environment)) return;
  const store =
    config.storage === null ? null : await (await import("../open-store.ts")).openStore(config.storage);

  let agent: Agent | null = null;
  let isToldToEnd = false;
  let ending: Promise<void> | null = null;
  const leave = (): void =>
    process.exit(exitStatus(agent?.lastExit?.exit ?? { code: 0, signal: null }, config.exitCodes));
  /** A second signal joins the end that is under way, or tries again after one that was refused. */
  const end = (): void => {
    isToldToEnd = true;
    if (agent === null || ending !== null) return;
    ending = agent.shutDown().then((isGone) => {
      ending = null;
      if (isGone) leave();
      log("error", "the agent stays: the application is not proven to be gone");
    });
  };
  /** The application may be there before the agent is whole: what is meant for it waits. */
  const early: NodeJS.Signals[] = [];
  const forward = (signal: NodeJS.Signals): void =>
    agent === null ? void early.push(signal) : agent.forward(signal);
  handleSignals({ onEnd: end, onForward: forward });

  let hasEnded = false;
  const onOwnEnd = (): void => {
    hasEnded = true;
    if (config.afterExit !== "exit" || agent === null || agent.staysForKrake) return;
    void agent.close().then(leave);
  };
  const onRestGone = (): void => {
    if (isToldToEnd) void (ending ?? Promise.resolve()).then(end);
  };
  agent = await startAgent({ config, store, log, environment, krake, onOwnEnd, onRestGone });
  for (const signal of early) agent.forward(signal);
  if (isToldToEnd) end();
  // It may have ended, and been told of, while the rest of the agent was loaded. What an earlier life was told to stop stays stopped.
  else if (hasEnded) onOwnEnd();
}

/** A command that cannot be executed ends the agent as it would end a shell, before anything is recorded. */
function refusesCommand({ workload, start }: AgentConfig, environment: Environment): boolean {
  if (workload === null || start === "held") return false;
  const found = findProgram({
    program: workload.command[0] ?? "",
    path: workload.environment["PATH"] ?? environment["PATH"],
    workingDirectory: workload.workingDirectory,
  });
  if (found.kind === "found") return false;
  process.stderr.write(`baton-agent: ${found.detail}\n`);
  process.exitCode = found.status;
  return true;
}
