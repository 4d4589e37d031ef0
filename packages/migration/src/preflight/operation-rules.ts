import { canonicalJson } from "@baton/clusters";
import type { ApplicationManifest } from "@baton/protocol";
import type { Rule } from "./rule.ts";

/** Who is told of the route goes by what is declared now. */
const withoutTraffic = ({ traffic: _, ...rest }: ApplicationManifest) => rest;

/** What the records say about the application and who else is at work on it. */
export const operationRules: readonly Rule[] = [
  {
    id: "same-cluster",
    severity: "blocking",
    means: "there is nothing to move",
    fix: "choose another target cluster",
    check: ({ request, source, target }) =>
      request.kind === "migrate" && source !== null && source.cluster === target?.cluster
        ? `the application is on ${source.cluster} already`
        : null,
  },
  {
    id: "already-deployed",
    severity: "blocking",
    means: "a second placement would be a second writer",
    fix: "migrate it instead",
    check: ({ request, source }) =>
      request.kind === "deploy" && source !== null ? `the application runs on ${source.cluster}` : null,
  },
  {
    id: "not-deployed",
    severity: "blocking",
    means: "there is nothing to start, to stop or to move",
    fix: "deploy it first",
    check: ({ request, source }) =>
      request.kind !== "deploy" && source === null ? "the application has no placement" : null,
  },
  {
    id: "operation-open",
    severity: "blocking",
    means: "one operation at a time holds an application",
    fix: "wait for its end, or decide about it",
    check: ({ records }) => records.otherOperation,
  },
  {
    id: "application-halted",
    severity: "blocking",
    means: "the records and the lease contradict each other, so nobody knows who may write",
    fix: "find out which of them is older, and put it right",
    check: ({ records }) => records.haltedReason,
  },
  {
    id: "manifest-changed",
    severity: "warning",
    means: "a move takes the deployment along as it was made; what was declared since is not used",
    fix: "deploy the application anew to use what is declared now",
    check: ({ request, records: { manifest, declared } }) =>
      request.kind !== "deploy" &&
      declared.manifest !== null &&
      canonicalJson(withoutTraffic(manifest)) !== canonicalJson(withoutTraffic(declared.manifest))
        ? "the application's manifest is not the one that it was deployed from"
        : null,
  },
  {
    id: "manifest-gone",
    severity: "warning",
    means: "nobody maintains what this deployment was made from",
    fix: "apply the application's manifest again",
    check: ({ records }) =>
      records.declared.manifest === null ? "the application is no longer declared" : null,
  },
  {
    id: "storage-changed",
    severity: "warning",
    means: "a move stays with the storage that it was deployed on; what was declared since is not used",
    fix: "deploy the application anew to use what is declared now",
    check: ({ records: { storage, declared } }) =>
      declared.storage !== null && canonicalJson(storage) !== canonicalJson(declared.storage)
        ? `the storage ${declared.storage.name} is not declared as it was when the application was deployed`
        : null,
  },
  {
    id: "storage-gone",
    severity: "warning",
    means: "probes and key rotations pass over a storage that is not declared",
    fix: "apply the storage's manifest again",
    check: ({ records }) =>
      records.declared.storage === null ? `the storage ${records.storage.name} is no longer declared` : null,
  },
];
