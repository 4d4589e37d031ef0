import { type ParseArgsOptionsConfig, parseArgs } from "node:util";
import { AppError } from "@baton/protocol";

/**
 * The flags of a command that speaks to the agent beside it, and that one's state directory.
 *
 * @param takes in words, for the error
 * @throws AppError `invalid-configuration`
 */
export function readLocalArguments<O extends ParseArgsOptionsConfig>(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  options: O,
  takes: string,
) {
  const own = { "state-directory": { type: "string" } } as const;
  try {
    const { values } = parseArgs({ args: [...args], options: { ...options, ...own } });
    const given = (values as { readonly "state-directory"?: string })["state-directory"];
    return { values, stateDirectory: given ?? environment["BATON_STATE_DIRECTORY"] ?? "/var/lib/baton" };
  } catch (error) {
    const detail = `cannot read the command line: baton-agent ${takes} and --state-directory DIR`;
    throw new AppError("invalid-configuration", detail, { cause: error });
  }
}
