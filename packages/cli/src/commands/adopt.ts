import { resolve } from "node:path";
import { type CommandContext, type GlobalOptions, openSession } from "./session.ts";

export interface AdoptOptions extends GlobalOptions {
  readonly application: string;
  /** Files with pairs: secrets are never arguments. */
  readonly writerKey: readonly string[];
  readonly reason: string;
}

export async function adoptLease(
  context: CommandContext,
  name: string,
  options: AdoptOptions,
): Promise<void> {
  const { client, print } = await openSession(context, options);
  const { application, reason } = options;
  const writers = options.writerKey.map((file) => ({ file: resolve(file) }));
  const adoption = await client.adoptLease(name, { application, writers, reason }, context.signal);
  print(adoption, () => [
    `the lease of storage ${name} was ${adoption.from}'s and is ${application}'s now, fenced, in epoch ${adoption.epoch}`,
    ...adoption.fences.map(
      ({ identity, denied, inventory }) =>
        `  key ${identity} is refused at ${denied.map(({ endpoint }) => endpoint).join(", ")}; it left ${inventory.objects} objects, ${inventory.bytes} bytes`,
    ),
    `  by ${adoption.by}: ${adoption.reason}`,
    `next: baton deploy ${application}`,
  ]);
}
