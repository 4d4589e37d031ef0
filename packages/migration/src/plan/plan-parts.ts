import { createHash } from "node:crypto";
import { canonicalJson } from "@baton/clusters";
import { type Finding, formatRun } from "@baton/protocol";
import type { Lease } from "@baton/storage";
import type { PreflightFacts } from "../preflight/facts.ts";

/**
 * What the decision for an operation depends on, each part under its name in words. A part's value is readable, or a digest where it is long or may
 * carry what nobody should read. Nothing is in here that changes while nothing changes: no times, no counts, no words of a store.
 */
export type PlanParts = Readonly<Record<string, string>>;

export function planParts(facts: PreflightFacts, findings: readonly Finding[]): PlanParts {
  const { request, saga, records, source, target, storage } = facts;
  const lease = storage.lease.known ? storage.lease.value : undefined;
  return {
    "what is asked": `${request.kind} ${request.application}${request.to === null ? "" : ` to ${request.to}`}`,
    "the strategy": request.strategy ?? "none",
    "cold or not": request.cold ? "cold" : "not cold",
    "the steps": `${saga.name} ${saga.steps}`,
    "the placement": source === null ? "none" : `${source.placement} on ${source.cluster}`,
    "the epoch": lease === undefined ? "not known" : String(lease?.epoch ?? 0),
    "the run": runOf(lease),
    ...fieldsOf("the application's", records.manifest),
    ...fieldsOf("the storage's", records.storage),
    ...(records.database === null ? {} : fieldsOf("the database's", records.database)),
    ...(source === null ? {} : fieldsOf(`cluster ${source.cluster}'s`, source.manifest)),
    ...(target === null ? {} : fieldsOf(`cluster ${target.cluster}'s`, target.manifest)),
    // What is only good to know decides nothing, and some of it comes and goes.
    ...Object.fromEntries(
      findings
        .filter(({ severity }) => severity !== "info")
        .map(({ id, severity }) => [`finding ${id}`, severity]),
    ),
  };
}

const runOf = (lease: Lease | null | undefined): string => {
  const run = lease?.run ?? null;
  return run === null ? "none" : formatRun(run);
};

/** SHA-256 (hex). */
export const hashOf = (parts: PlanParts): string => sha256(canonicalJson(parts));

/** What is no longer as it was, in words; empty where nothing is. */
export function describeDrift(before: PlanParts, after: PlanParts): readonly string[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  return names
    .filter((name) => before[name] !== after[name])
    .map((name) => drifted(name, before[name], after[name]));
}

function drifted(name: string, was: string | undefined, is: string | undefined): string {
  const isDigest = [was, is].some((value) => value?.startsWith(digestMark));
  if (was === undefined) return isDigest ? `${name} was added` : `${name} was not there and is ${is}`;
  if (is === undefined) return isDigest ? `${name} was taken out` : `${name} was ${was} and is gone`;
  return isDigest ? `${name} was changed` : `${name} was ${was} and is ${is}`;
}

const digestMark = "#";

function fieldsOf(whose: string, manifest: object): PlanParts {
  const fields = Object.entries(manifest).filter(([, value]) => value !== undefined);
  return Object.fromEntries(
    fields.map(([field, value]) => [`${whose} ${field}`, digestMark + sha256(canonicalJson(value))]),
  );
}

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
