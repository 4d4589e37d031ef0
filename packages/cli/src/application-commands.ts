import { AppError, type OperationRequest, type StopStrategy } from "@baton/protocol";
import { type Command, Option } from "commander";
import { type WatchOptions, startOperation } from "./commands/operation.ts";
import { planOperation } from "./commands/plan.ts";
import type { CommandContext } from "./commands/session.ts";

interface Options extends WatchOptions {
  readonly to: string;
  readonly strategy?: StopStrategy;
  readonly cold?: boolean;
  readonly plan?: string;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
}

const kinds = [
  ["deploy", "start an application that runs nowhere"],
  ["migrate", "move a running application to another cluster"],
  ["stop", "stop an application where it is; its placement waits, held"],
  ["start", "start an application again where it was stopped, or where it ended by itself"],
  ["delete", "stop an application and remove its placement; what it stored stays, and its records too"],
] as const;
type Kind = (typeof kinds)[number][0];

/** What begins an operation of an application, and for each what plans it. */
export function addApplicationCommands(
  program: Command,
  context: CommandContext,
  setStatus: (status: number) => void,
): void {
  const plan = program
    .command("plan")
    .description("what an operation would do and what speaks against it; begins nothing");
  for (const [kind, description] of kinds) {
    const command = nameOperation(program.command(kind), kind).description(description);
    if (kind === "delete") command.option("--yes", "that this is meant");
    command
      .option("--watch", "show the steps until it has ended; exit status 0 only if it was committed")
      .option("--plan <hash>", "as this plan says, or not at all: refused where anything changed since")
      .option("--dry-run", "begin nothing, and show the plan; exit status 1 when something blocks it")
      .action(async (application: string, _options, self: Command) => {
        const options = self.optsWithGlobals<Options>();
        if (options.dryRun !== true) assertMeant(kind, application, options);
        const begin = options.dryRun === true ? planOperation : startOperation;
        setStatus(await begin(context, requestOf(kind, application, options), options));
      });
    nameOperation(plan.command(kind), kind)
      .description(`plan to ${description}`)
      .action(async (application: string, _options, self: Command) => {
        const options = self.optsWithGlobals<Options>();
        setStatus(await planOperation(context, requestOf(kind, application, options), options));
      });
  }
}

function nameOperation(command: Command, kind: Kind): Command {
  command.argument("<application>");
  if (kind === "deploy" || kind === "migrate") command.requiredOption("--to <cluster>", "where it shall run");
  const strategies = ["give-up", "force", "halt", "failover"];
  if (kind === "migrate" || kind === "stop" || kind === "delete")
    command.addOption(
      new Option("--strategy <name>", "when the source does not stop as its hook says").choices(strategies),
    );
  if (kind === "migrate") command.option("--cold", "make the target only when the source has stopped");
  return command;
}

/** @throws `invalid-request` where it is not said that a delete is meant. */
function assertMeant(kind: Kind, application: string, { yes }: Options): void {
  if (kind !== "delete" || yes === true) return;
  throw new AppError(
    "invalid-request",
    `cannot delete ${application} unasked: its placement would be removed, though not what it stored; say that this is meant with --yes`,
  );
}

function requestOf(kind: Kind, application: string, { to, plan, strategy, cold }: Options): OperationRequest {
  const asked = { application, ...(plan === undefined ? {} : { plan }) };
  switch (kind) {
    case "deploy":
      return { kind, ...asked, to };
    case "migrate":
      return { kind, ...asked, to, strategy, cold };
    case "stop":
    case "delete":
      return { kind, ...asked, strategy };
    case "start":
      return { kind, ...asked };
  }
}
