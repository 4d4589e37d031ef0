import { resolve } from "node:path";
import { AppError } from "@baton/protocol";
import { type Inventory, diffInventories, readInventory, renderDifference } from "@baton/storage/inventory";
import { type CommandContext, type GlobalOptions, openSession } from "./session.ts";

export async function takeInventory(
  context: CommandContext,
  name: string,
  options: GlobalOptions & { readonly save?: string },
): Promise<void> {
  const { client, print } = await openSession(context, options);
  const save = options.save === undefined ? {} : { save: resolve(options.save) };
  const inventory = await client.takeInventory(name, save, context.signal);
  print(inventory, () => [
    ...linesOf(inventory),
    ...(save.save === undefined ? [] : [`saved to ${save.save}; compare it with \`baton storage compare\``]),
  ]);
}

/** Asks no orchestrator. @returns the exit status: 1 where anything differs, as `diff` has it. */
export async function compareInventories(
  context: CommandContext,
  [before, after]: readonly [string, string],
  options: GlobalOptions & { readonly first: number },
): Promise<number> {
  const difference = await diffInventories({
    before: readInventory(before),
    after: readInventory(after),
    limit: options.first,
  }).catch((error: unknown) => {
    if (!(error instanceof Error && "syscall" in error && "path" in error)) throw error;
    throw new AppError(
      "invalid-request",
      `cannot read ${String(error.path)}: there is no such file, or it may not be read`,
      {
        cause: error,
      },
    );
  });
  const text = options.output === "json" ? JSON.stringify(difference) : renderDifference(difference);
  context.stdout.write(`${text}\n`);
  return difference.added + difference.removed + difference.changed === 0 ? 0 : 1;
}

const linesOf = ({ prefix, objects, bytes, digest, listed, noncurrent }: Inventory): readonly string[] => [
  `${objects} objects below ${prefix}, ${bytes} bytes`,
  `digest ${digest}`,
  listed === "versions"
    ? `${noncurrent} older versions and delete markers, which are not in the digest`
    : "the store lists no versions",
];
