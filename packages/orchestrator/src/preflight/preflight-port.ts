import { type DeployInput, type PreflightPort, describeSaga } from "@baton/migration";
import { replicaMsOf } from "../ports/replica-port.ts";
import { sagaInput } from "../ports/saga-input.ts";
import type { Table } from "../records/saga-tables.ts";
import { type AskStatus, type FactsParams, gatherFacts } from "./gather-facts.ts";
import { type Subject, type SubjectParams, readBegun } from "./read-subject.ts";

export type PreflightParams = SubjectParams & FactsParams;

/** The preflight of an operation that is on record. */
export function createPreflightPort(
  params: PreflightParams,
  of: {
    readonly operation: string;
    readonly table: Table;
    readonly status: AskStatus;
    readonly keep: PreflightPort["keep"];
  },
): PreflightPort {
  const { operation, table, status, keep } = of;
  return {
    keep,
    async look(signal) {
      const subject = await readBegun(params, operation);
      return gatherFacts(params, { subject, saga: describeSaga(table, inputOf(subject)), status }, signal);
    },
  };
}

/** As the operation's own input is, or would be. */
export function inputOf({ request, records, source }: Subject): DeployInput {
  const { application, strategy, to } = request;
  const { manifest, storage, highestEpoch: knownEpoch, adoptedEpoch } = records;
  const replicaMs =
    source === null || to === null ? 0 : replicaMsOf({ storage, source: source.cluster, target: to });
  return sagaInput({ strategy, knownEpoch, adoptedEpoch, replicaMs }, { application, manifest, storage });
}
