import { roles } from "@baton/protocol";
import { Command, Option } from "commander";
import { adoptLease } from "./commands/adopt.ts";
import { addApplicationCommands } from "./application-commands.ts";
import { apply } from "./commands/apply.ts";
import { compareInventories, takeInventory } from "./commands/inventory.ts";
import { type WatchOptions, listOperations, showOperation } from "./commands/operation.ts";
import { showAudit } from "./commands/audit.ts";
import { decide, explainOperation } from "./commands/decision.ts";
import { exportReceipts, verifyReceipts } from "./commands/receipt.ts";
import { showReadiness } from "./commands/ready.ts";
import { showRoute } from "./commands/route.ts";
import type { CommandContext } from "./commands/session.ts";
import {
  addStorages,
  listStorages,
  probeStorage,
  removeStorage,
  rotateKeys,
  showStorage,
} from "./commands/storage.ts";
import { createToken, listTokens, revokeToken } from "./commands/token.ts";
import { up } from "./commands/up.ts";
import { parseLife } from "./life.ts";
import { parseListenAddress } from "./listen-address.ts";

/**
 * The command line. Throws commander's errors instead of printing them and ending the process.
 *
 * @param setStatus told the exit status of a command that ended without an error, where it is not 0
 */
export function createProgram(context: CommandContext, setStatus: (status: number) => void): Command {
  const program = new Command("baton")
    .description("Moves a running stateful application from one cluster to another and loses nothing.")
    .exitOverride()
    .configureOutput({ writeOut: (text) => context.stdout.write(text), writeErr: () => undefined })
    .addOption(
      new Option("--output <format>", "text, or records as lines of JSON")
        .choices(["text", "json"])
        .default("text"),
    )
    .option("--url <url>", "the orchestrator's address (default: $BATON_URL, or from the state directory)")
    .option(
      "--ca-file <file>",
      "who certified the orchestrator, in PEM form (default: $BATON_CA_FILE, or whom Node knows)",
    )
    .option(
      "--token-file <file>",
      "a file with a token (default: $BATON_TOKEN_FILE, $BATON_TOKEN, or the admin token in the state directory)",
    );

  program
    .command("up")
    .description("run the orchestrator in the foreground")
    .option("--state <dir>", "state directory (default: $BATON_STATE_DIRECTORY, or the user's own)")
    .addOption(
      new Option(
        "--listen <host:port>",
        "address of the API (default: $BATON_LISTEN, or 127.0.0.1:7420)",
      ).argParser(parseListenAddress),
    )
    .action((_options, command: Command) => up(context, command.optsWithGlobals()));

  program
    .command("ready")
    .description("whether the orchestrator takes requests; exit status 1 when not. Needs no token")
    .action(async (_options, command: Command) =>
      setStatus(await showReadiness(context, command.optsWithGlobals())),
    );

  program
    .command("apply")
    .description("create or replace clusters, storages and applications")
    .requiredOption("-f, --file <file...>", "YAML manifests; - is standard input")
    .option("--dry-run", "change nothing, and say what would be created, replaced or left as it is")
    .action((_options, command: Command) => apply(context, command.optsWithGlobals()));

  addApplicationCommands(program, context, setStatus);

  const operation = program.command("operation").description("look at operations");
  operation
    .command("show")
    .description("one operation with its steps and its downtime ledger")
    .argument("<id>")
    .option("--watch", "until it has ended; exit status 0 only if it was committed")
    .action(async (id: string, _options, command: Command) =>
      setStatus(await showOperation(context, id, command.optsWithGlobals())),
    );
  operation
    .command("list")
    .description("the latest operations, newest first")
    .option("--application <name>", "of this application only")
    .action((_options, command: Command) => listOperations(context, command.optsWithGlobals()));

  addDecisionCommands(operation, context, setStatus);
  addReceiptCommands(program, operation, context);
  addStorageCommands(program, context, setStatus);
  addAccessCommands(program, context);

  program
    .command("route")
    .description("where an application is served now")
    .argument("<application>")
    .action((application: string, _options, command: Command) =>
      showRoute(context, application, command.optsWithGlobals()),
    );
  return program;
}

function addDecisionCommands(
  operation: Command,
  context: CommandContext,
  setStatus: (status: number) => void,
): void {
  operation
    .command("explain")
    .description("what an operation waits for, until when, what follows, and what can be done")
    .argument("<id>")
    .action((id: string, _options, command: Command) =>
      explainOperation(context, id, command.optsWithGlobals()),
    );
  for (const [kind, description] of [
    ["abort", "take an operation back"],
    ["resume", "have a halted operation try again"],
    ["override", "answer for the evidence that a halted operation lacks; kept with your name for ever"],
  ] as const)
    operation
      .command(kind)
      .description(description)
      .argument("<id>")
      .requiredOption("--reason <text>", "why; goes on record")
      .option("--watch", "show the steps until it has ended; exit status 0 only if it was committed")
      .action(async (id: string, _options, command: Command) => {
        const options = command.optsWithGlobals<WatchOptions & { readonly reason: string }>();
        setStatus(await decide(context, id, { kind, reason: options.reason }, options));
      });
}

function addReceiptCommands(program: Command, operation: Command, context: CommandContext): void {
  operation
    .command("receipts")
    .description("export an operation's signed receipts, for `baton receipt verify`")
    .argument("<id>")
    .option("--save <file>", "a new file; - is standard output", "-")
    .action((id: string, _options, command: Command) =>
      exportReceipts(context, id, command.optsWithGlobals()),
    );
  program
    .command("receipt")
    .description("look at exported receipts; needs no orchestrator")
    .command("verify")
    .description("verify the signatures of exported receipts, and say what they state")
    .argument("<file>")
    .option("--key <x>", "the placement's public key, as base64url, from where you trust it")
    .action((file: string, _options, command: Command) =>
      verifyReceipts(context, file, command.optsWithGlobals()),
    );
}

function addStorageCommands(
  program: Command,
  context: CommandContext,
  setStatus: (status: number) => void,
): void {
  const storage = program.command("storage").description("external storage: add, look at, probe, remove");
  storage
    .command("add")
    .description("probe storages, and create or replace them")
    .requiredOption("-f, --file <file...>", "YAML manifests of storages; - is standard input")
    .action((_options, command: Command) => addStorages(context, command.optsWithGlobals()));
  storage
    .command("list")
    .description("every storage, and whether its newest probe found it fit")
    .action((_options, command: Command) => listStorages(context, command.optsWithGlobals()));
  storage
    .command("show")
    .description("where a storage is, what its newest probe saw, and who uses it")
    .argument("<name>")
    .action((name: string, _options, command: Command) =>
      showStorage(context, name, command.optsWithGlobals()),
    );
  storage
    .command("probe")
    .description("try the storage now; exit status 1 when it is not fit")
    .argument("<name>")
    .option("--thorough", "also what takes seconds")
    .option("--in-flight", "also how long it waits for the rest of a body; takes up to three minutes")
    .action(async (name: string, _options, command: Command) =>
      setStatus(await probeStorage(context, name, command.optsWithGlobals())),
    );
  storage
    .command("rotate")
    .description(
      "prove that the keys which are in the files now work, and that an old pair does not; hand them to what runs",
    )
    .argument("<name>")
    .option("--old <file>", "the old pair, as JSON, on the orchestrator's machine: it must be refused by now")
    .action(async (name: string, _options, command: Command) =>
      setStatus(await rotateKeys(context, name, command.optsWithGlobals())),
    );
  storage
    .command("adopt")
    .description(
      "take on the lease of another orchestrator: every key of its writer is disabled for good, with proof, first",
    )
    .argument("<name>")
    .requiredOption("--application <name>", "whose lease it becomes")
    .requiredOption(
      "--writer-key <files...>",
      "each pair by which the writer reaches the storage, as JSON, on the orchestrator's machine",
    )
    .requiredOption("--reason <text>", "why; it is kept")
    .action((name: string, _options, command: Command) =>
      adoptLease(context, name, command.optsWithGlobals()),
    );
  storage
    .command("inventory")
    .description("count and digest everything below the storage's prefix")
    .argument("<name>")
    .option("--save <file>", "also every entry, to a file on the orchestrator's machine")
    .action((name: string, _options, command: Command) =>
      takeInventory(context, name, command.optsWithGlobals()),
    );
  storage
    .command("compare")
    .description("what differs between two saved inventories; exit status 1 when anything does")
    .argument("<before>")
    .argument("<after>")
    .addOption(
      new Option("--first <count>", "how many differences to show").argParser(Number).default(50, "50"),
    )
    .action(async (before: string, after: string, _options, command: Command) =>
      setStatus(await compareInventories(context, [before, after], command.optsWithGlobals())),
    );
  storage
    .command("remove")
    .description("forget a storage that nobody uses; its bucket is not touched")
    .argument("<name>")
    .action((name: string, _options, command: Command) =>
      removeStorage(context, name, command.optsWithGlobals()),
    );
}

function addAccessCommands(program: Command, context: CommandContext): void {
  const token = program.command("token").description("who may use the API: create, list, revoke tokens");
  token
    .command("create")
    .description("make a token; it is shown once")
    .argument("<name>")
    .addOption(
      new Option("--role <role>", "what it may: look, also operate, or also administer")
        .choices(roles)
        .makeOptionMandatory(),
    )
    .addOption(
      new Option("--expires <time>", "its end, from now: 90m, 12h, 30d (default: none)").argParser(parseLife),
    )
    .option("--save <file>", "write it to this new file, which only you can read, instead of showing it")
    .action((name: string, _options, command: Command) =>
      createToken(context, name, command.optsWithGlobals()),
    );
  token
    .command("list")
    .description("every token: its name, what it may, who made it, and its end")
    .action((_options, command: Command) => listTokens(context, command.optsWithGlobals()));
  token
    .command("revoke")
    .description("end a token, at once and for good")
    .argument("<name>")
    .action((name: string, _options, command: Command) =>
      revokeToken(context, name, command.optsWithGlobals()),
    );
  program
    .command("audit")
    .description("who asked for which change, and what came of it; newest first")
    .addOption(new Option("--limit <count>", "how many, up to 1000 (default: 100)").argParser(Number))
    .addOption(new Option("--before <id>", "only those that are older than this entry").argParser(Number))
    .action((_options, command: Command) => showAudit(context, command.optsWithGlobals()));
}
