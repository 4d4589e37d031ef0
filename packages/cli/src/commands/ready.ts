import { connectAsAnybody } from "../connection.ts";
import { type CommandContext, type GlobalOptions } from "./session.ts";

/** For health checks. @returns the exit status */
export async function showReadiness(context: CommandContext, options: GlobalOptions): Promise<number> {
  const { stateDirectory, url, caFile } = context.configure();
  const client = await connectAsAnybody({ stateDirectory, url, caFile, ...options });
  const ready = await client.readyz(context.signal);
  context.stdout.write(
    options.output === "json" ? `${JSON.stringify({ ready })}\n` : ready ? "ready\n" : "not ready\n",
  );
  return ready ? 0 : 1;
}
