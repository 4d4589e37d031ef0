import { constants } from "node:os";
import { Command, InvalidArgumentError, Option } from "commander";
import { migrate } from "@baton/migration";
import { createOperationView, renderLedger } from "@baton/cli/view";
import type { Operation } from "@baton/protocol";
import { type Harbour, openHarbour } from "./harbour.ts";
import type { NaiveMove } from "./naive-move.ts";
import { type Audience, runDemo } from "./run-demo.ts";
import { renderVerdict } from "./render-verdict.ts";

const steps = migrate.steps.map(({ name }) => name);

interface Options {
  readonly json?: true;
  readonly hook: boolean;
  readonly fail?: string;
  readonly kill?: string;
  readonly plant?: "start-before-stop";
  readonly cold?: true;
}

const step = (value: string): string => {
  if (!steps.includes(value)) throw new InvalidArgumentError(`it must be one of ${steps.join(", ")}`);
  return value;
};
const orchestratorStep = (value: string): string => {
  const [who, where = ""] = value.split("@");
  if (who !== "orchestrator") throw new InvalidArgumentError("it must be orchestrator@STEP");
  return step(where);
};

const options = new Command("demo")
  .description(
    "Moves a stateful service between two clusters while a writer uses it, and shows whether anything was lost",
  )
  .option("--json", "only the verdict, as the last line")
  .option("--no-hook", "move by hard kill, without Baton: shows the loss")
  .option("--fail <step>", "make this step of the migration fail", step)
  .option("--kill <orchestrator@step>", "kill the orchestrator in the middle of this step", orchestratorStep)
  .option("--cold", "make the target only when the source has stopped")
  .addOption(new Option("--plant <fault>", "a wrong move, without Baton").choices(["start-before-stop"]))
  .parse()
  .opts<Options>();

const naive: NaiveMove | undefined = options.plant ?? (options.hook ? undefined : "kill-then-start");
// The pivot cannot be taken back once it happened, so its planted failure comes just before.
const fault =
  options.fail === undefined
    ? options.kill && `kill@migrate.${options.kill}`
    : `fail@migrate.${options.fail}${options.fail === "commit" ? ":before" : ""}`;

// What an interruption left waiting does not hold the end.
process.exit(await main());

/** @returns the exit status: 0 for a safe move, 1 otherwise, 128 + the signal's number when interrupted. */
async function main(): Promise<number> {
  const interrupted = Promise.withResolvers<{ readonly status: number }>();
  // Only the first one counts: an impatient second Ctrl-C must not leave half of it running.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(signal, () => interrupted.resolve({ status: 128 + constants.signals[signal] }));

  const say = (line: string): void => {
    if (options.json === undefined) process.stdout.write(`${line}\n`);
  };
  say("starting a store, an orchestrator with its database, and two clusters");
  const opening = openHarbour({ fault });
  let status = 1;
  try {
    const harbour = await Promise.race([opening, interrupted.promise]);
    status = "status" in harbour ? harbour.status : await show(harbour);
  } catch (error) {
    process.stderr.write(`demo: ${error instanceof Error ? error.message : String(error)}\n`);
  }
  try {
    const harbour = await opening.catch(() => null);
    await harbour?.close();
  } catch (error) {
    process.stderr.write(`demo: ${String(error)}\n`);
    status = Math.max(status, 1);
  }
  return status;

  async function show(harbour: Harbour): Promise<number> {
    const view = createOperationView({ stream: process.stdout, interactive: process.stdout.isTTY });
    let last: Operation | undefined;
    const audience: Audience = {
      say,
      acknowledged: () => undefined,
      operation: (operation) => {
        last = operation;
        if (options.json === undefined) view.update(operation);
      },
    };
    const verdict = await Promise.race([
      runDemo(harbour, audience, { naive, cold: options.cold }),
      interrupted.promise,
    ]);
    if (options.json === undefined) view.end();
    if ("status" in verdict) return verdict.status;
    if (options.json === undefined) {
      if (last !== undefined) for (const line of renderLedger(last)) say(line);
      process.stdout.write(renderVerdict(verdict));
    } else process.stdout.write(`${JSON.stringify(verdict)}\n`);
    return verdict.entriesLost > 0 || verdict.overlappingWriters > 0 || verdict.outcome === "halted" ? 1 : 0;
  }
}
