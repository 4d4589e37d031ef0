import { type Fenced, fenceSource } from "./fence-step.ts";
import type { SourcePorts } from "./ports.ts";

/** The fence, and then all that the source wrote at the endpoint that the target reads from. */
export async function fenceAndCatchUp(ctx: Parameters<typeof fenceSource>[0]): Promise<Fenced> {
  const fenced = await fenceSource(ctx);
  await catchUp(ctx.ports, "source", ctx.signal);
  return fenced;
}

/**
 * Nothing starts at an endpoint before it shows what the last holder wrote at another one (safety rule 19): a replica that is behind would give the
 * application old data, and what arrives there later would be written under it.
 */
export async function catchUp(
  { replica, records }: Pick<SourcePorts, "replica" | "records">,
  writer: "source" | "target",
  signal: AbortSignal,
): Promise<void> {
  if (replica !== null) await records.saveReplica(await replica.waitUntilEqual(writer, signal));
}
