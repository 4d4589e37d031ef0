import type { AgentState } from "@baton/protocol";
import type { PreflightFacts, SourceFacts } from "./facts.ts";
import { type Rule, unseen, valueOf } from "./rule.ts";

const restingStates: readonly AgentState[] = ["held", "stopped", "crashed"];

const serving = ({ source }: PreflightFacts): SourceFacts | undefined =>
  source?.expected === "serving" ? source : undefined;

/** Who passes over a source that cannot be judged: only a fence, ordered beforehand. */
const canFailOver = (facts: PreflightFacts): boolean =>
  facts.request.strategy === "failover" && facts.fence !== null;

/** The application's placement: it must answer, be what it is expected to be, and be seen from outside. */
export const sourceRules: readonly Rule[] = [
  {
    id: "source-unreachable",
    severity: "blocking",
    means: "nobody could tell it to stop, or hear that it did",
    fix: "bring the source's agent up",
    check: (facts) =>
      canFailOver(facts)
        ? null
        : unseen(facts.source?.status, `the agent on ${facts.source?.cluster} does not answer`),
  },
  {
    id: "source-lost",
    severity: "warning",
    means: "it will be fenced and passed over: what it had not stored is lost",
    fix: "bring the source's agent up, if that is possible",
    check: (facts) =>
      canFailOver(facts)
        ? unseen(facts.source?.status, `the agent on ${facts.source?.cluster} does not answer`)
        : null,
  },
  {
    id: "source-not-running",
    severity: "blocking",
    means: "there is no run to stop, and nothing to go back to",
    fix: "bring the application up first",
    check: (facts) => {
      const status = valueOf(serving(facts)?.status);
      return status === undefined || status.state === "running"
        ? null
        : `the application on ${facts.source?.cluster} is ${status.state}`;
    },
  },
  {
    id: "source-not-resting",
    severity: "blocking",
    means: "only an application that does not run can be taken up, or away, like this",
    fix: "stop it first",
    check: ({ source }) => {
      const state = source?.expected === "resting" ? valueOf(source.status)?.state : undefined;
      return state === undefined || restingStates.includes(state)
        ? null
        : `the application on ${source?.cluster} is ${state}`;
    },
  },
  {
    id: "source-not-ready",
    severity: "blocking",
    means: "what is ill here may be as ill there, and taking back would bring it back ill",
    fix: "look into the application's log, and bring it up first",
    check: ({ source }) => {
      const status = valueOf(source?.status);
      return status?.state === "running" && !status.ready
        ? `the application on ${source?.cluster} does not answer its readiness path`
        : null;
    },
  },
  {
    id: "source-not-open",
    severity: "warning",
    means: "clients are kept out: an earlier operation did not come to its end",
    fix: "look at the application's earlier operations",
    check: (facts) =>
      valueOf(serving(facts)?.status)?.open === false
        ? `the agent on ${facts.source?.cluster} does not let clients in`
        : null,
  },
  {
    id: "source-waiting",
    severity: "warning",
    means: "a stop joins what the agent is at, or comes after it",
    fix: "let it end first",
    check: ({ source }) => {
      const waiting = valueOf(source?.status)?.waiting;
      return waiting === undefined || waiting === null
        ? null
        : `the agent on ${source?.cluster} waits for ${waiting.for}`;
    },
  },
  {
    id: "source-lease-unreadable",
    severity: "warning",
    means: "the application may not reach its storage either, and its receipt would be local only",
    fix: "bring the way from there to the storage up",
    check: ({ source }) => {
      const lease = valueOf(source?.status)?.lease;
      return lease?.reachable === false
        ? `the agent on ${source?.cluster} cannot read its lease: ${lease.detail ?? "no reason given"}`
        : null;
    },
  },
  {
    id: "source-lease-lost",
    severity: "blocking",
    means: "somebody else may be writing already",
    fix: "find out who changed the lease",
    check: ({ source }) =>
      valueOf(source?.status)?.lease.lost === true
        ? `the agent on ${source?.cluster} sees its lease name somebody else`
        : null,
  },
  {
    id: "source-key-unpinned",
    severity: "blocking",
    means: "no receipt of this placement could be verified",
    fix: "find out why its agent never gave its key",
    check: ({ source }) =>
      source?.isKeyPinned === false ? `no public key of ${source.placement} is on record` : null,
  },
  {
    id: "source-capabilities-unseen",
    severity: "blocking",
    means: "nobody knows what can be seen of the source",
    fix: "bring the cluster up",
    check: ({ source }) => unseen(source?.capabilities, `cluster ${source?.cluster} cannot be used`),
  },
  {
    id: "source-without-witness",
    severity: "blocking",
    means: "a stop that nobody confirms from outside passes no lease on",
    fix: "use a storage with a fence, and the strategy failover",
    check: (facts) =>
      !canFailOver(facts) && valueOf(facts.source?.capabilities)?.witnessesFromOutside === false
        ? `cluster ${facts.source?.cluster} cannot say from outside that an application ended`
        : null,
  },
  {
    id: "source-through-bucket",
    severity: "info",
    means: "commands and receipts go through the bucket, which takes seconds more",
    fix: "nothing need be done",
    check: ({ source }) =>
      valueOf(source?.capabilities)?.reachesAgents === false
        ? `agents on ${source?.cluster} cannot be reached by network`
        : null,
  },
  {
    id: "source-unwitnessed",
    severity: "blocking",
    means: "nobody could confirm from outside that the application ended",
    fix: "bring the cluster up",
    check: (facts) =>
      canFailOver(facts)
        ? null
        : unseen(facts.source?.witness, `cluster ${facts.source?.cluster} gives no witness`),
  },
  {
    id: "source-out-of-sight",
    severity: "warning",
    means: "it will be passed over by its fence alone",
    fix: "bring the cluster up, if that is possible",
    check: (facts) =>
      canFailOver(facts)
        ? unseen(facts.source?.witness, `cluster ${facts.source?.cluster} gives no witness`)
        : null,
  },
  {
    id: "witness-unknown",
    severity: "blocking",
    means: "a handover needs the word of the cluster that nothing is left",
    fix: "let the orchestrator read what it could not",
    check: (facts) => {
      const witness = valueOf(facts.source?.witness);
      return witness?.state === "unknown" && !canFailOver(facts)
        ? `cluster ${facts.source?.cluster} cannot say what runs: ${witness.detail ?? "no reason given"}`
        : null;
    },
  },
  {
    id: "witness-running",
    severity: "blocking",
    means: "a start beside a process that the agent does not see would be a second writer in one placement",
    fix: "look at the processes there",
    check: ({ source }) =>
      source?.expected === "resting" && valueOf(source.witness)?.state === "running"
        ? `cluster ${source.cluster} still sees processes of the application`
        : null,
  },
  {
    id: "witness-contradicts",
    severity: "blocking",
    means: "the agent or the cluster is wrong about what runs",
    fix: "look at the processes there",
    check: ({ source }) =>
      valueOf(source?.witness)?.state === "terminated" && valueOf(source?.status)?.state === "running"
        ? `the agent on ${source?.cluster} says that the application runs, and the cluster sees no process of it`
        : null,
  },
  {
    id: "source-agent-dead",
    severity: "warning",
    means: "nobody looks after the application there; the operation starts the agent again first",
    fix: "look into the agent's log",
    check: ({ source }) =>
      source !== null && valueOf(source.witness)?.agentAlive === false
        ? `cluster ${source.cluster} sees no agent of ${source.placement}`
        : null,
  },
];
