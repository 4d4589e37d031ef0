import { setTimeout as delay } from "node:timers/promises";
import type { KrakeApplication } from "./application.ts";

export interface SequenceOptions {
  /** `host:port` of the Service named `shutdown`; the one that is registered unless given. */
  readonly address?: string | undefined;
  /** Krake's default is 30 s. */
  readonly graceMs?: number | undefined;
  /** Further attempts after the first. */
  readonly retries?: number | undefined;
  readonly strategy?: "give_up" | "delete" | undefined;
  /** Deletion sets `metadata.deleted` whatever the state is; a migration begins from RUNNING, RECONCILING and WAITING_FOR_CLEANING only. */
  readonly reason?: "deletion" | "migration" | undefined;
}

/** `gone`: the record was removed, Krake's only idea of success; `ignored`: the state allows no shutdown; `closed`: the test is over. */
export type SequenceEnd = "gone" | "given-up" | "deleted" | "ignored" | "closed";

export interface SequenceParts {
  readonly command: (address: string) => Promise<unknown>;
  /** Null once the record was removed. */
  readonly application: () => KrakeApplication | null;
  readonly signal: AbortSignal;
}

/**
 * The controller's part of a shutdown as it is coded in Krake: a command, then a sleep of the whole grace time whether or not it was confirmed,
 * then a look whether the record is gone. An attempt that fails to connect is followed by the next one at once. Its defects are kept: a
 * migration never counts as a success, and ends in the strategy although it was confirmed.
 */
export async function runSequence(parts: SequenceParts, options: SequenceOptions): Promise<SequenceEnd> {
  const { graceMs = 30_000, retries = 0, strategy = "delete", reason = "deletion" } = options;
  const { command, application, signal } = parts;
  const first = application();
  if (first === null) return "gone";
  if (options.address !== undefined) first.services["shutdown"] = options.address;
  if (reason === "deletion") first.deletedAt ??= new Date().toISOString();
  else if (!movable.has(first.state)) return "ignored";
  first.state = "WAITING_FOR_CLEANING";
  if (first.shutdownGracePeriod !== null) return "ignored";
  first.shutdownGracePeriod = new Date(Date.now() + graceMs).toISOString();
  for (let attempt = 0; attempt <= retries; attempt += 1) {
    const current = application();
    if (current?.state === "DEGRADED" || current?.state === "FAILED") return "given-up";
    try {
      const { shutdown } = first.services as { shutdown?: string };
      if (shutdown === undefined) throw new Error("there is no Service named shutdown");
      await command(shutdown);
    } catch {
      if (signal.aborted) return "closed";
      continue;
    }
    await delay(graceMs, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return "closed";
    if (application() === null) return "gone";
  }
  const last = application() ?? first;
  last.state = strategy === "delete" ? "DELETING" : "DEGRADED";
  return strategy === "delete" ? "deleted" : "given-up";
}

const movable: ReadonlySet<string> = new Set(["RUNNING", "RECONCILING", "WAITING_FOR_CLEANING"]);
