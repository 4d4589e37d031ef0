import { type Rule, unseen, valueOf } from "./rule.ts";

const mebibyte = 1_048_576;
/** For the agent's state, its receipts and the application's log. */
const leastBytes = 16 * mebibyte;
const comfortableBytes = 256 * mebibyte;

/** Where the application shall run. */
export const targetRules: readonly Rule[] = [
  {
    id: "target-unavailable",
    severity: "blocking",
    means: "no placement can be made there",
    fix: "bring the cluster up",
    check: ({ target }) => unseen(target?.check, `cluster ${target?.cluster} cannot be used`),
  },
  {
    id: "target-capabilities-unseen",
    severity: "blocking",
    means: "nobody knows what can be done there",
    fix: "bring the cluster up",
    check: ({ target }) => unseen(target?.capabilities, `cluster ${target?.cluster} cannot be used`),
  },
  {
    id: "target-without-standby",
    severity: "blocking",
    means: "the target cannot wait, held, while the source still serves",
    fix: "ask for a cold move",
    check: ({ request, source, target }) =>
      source !== null && !request.cold && valueOf(target?.capabilities)?.holdsStandby === false
        ? `cluster ${target?.cluster} cannot hold a standby`
        : null,
  },
  {
    id: "target-agents-unreachable",
    severity: "blocking",
    means: "the start carries data keys, and goes by network only",
    fix: "open a way from the orchestrator to the agents there",
    check: ({ target }) =>
      valueOf(target?.capabilities)?.reachesAgents === false
        ? `agents on ${target?.cluster} cannot be reached by network`
        : null,
  },
  {
    id: "target-without-witness",
    severity: "warning",
    means: "once it was started there, it is neither taken back nor moved away without a fence",
    fix: "choose another cluster, or use a storage with a fence",
    check: ({ target }) =>
      valueOf(target?.capabilities)?.witnessesFromOutside === false
        ? `cluster ${target?.cluster} cannot say from outside that an application ended`
        : null,
  },
  {
    id: "target-room-unseen",
    severity: "info",
    means: "whether there is room, and the program, is found out only while the target is prepared",
    fix: "nothing need be done",
    check: ({ target }) =>
      valueOf(target?.room)?.freeBytes === null
        ? `how much is free on ${target?.cluster} cannot be said`
        : unseen(target?.room, `what is on ${target?.cluster} was not seen`),
  },
  {
    id: "target-program-missing",
    severity: "blocking",
    means: "the application could not be started there, after it was stopped here",
    fix: "install it there, or correct the workload's command",
    check: ({ records, target }) => {
      const missing = valueOf(target?.room)?.missing ?? [];
      return missing.length === 0
        ? null
        : `${target?.cluster} has no ${missing.join(", no ")} for ${records.manifest.name}`;
    },
  },
  {
    id: "target-full",
    severity: "blocking",
    means:
      "an agent that cannot write its intent starts nothing, and one that cannot write its receipt proves nothing",
    fix: "make room there",
    check: ({ target }) => {
      const free = valueOf(target?.room)?.freeBytes ?? Infinity;
      return free < leastBytes ? `${inMiB(free)} are free on ${target?.cluster}` : null;
    },
  },
  {
    id: "target-nearly-full",
    severity: "warning",
    means: "the application's log alone may fill it",
    fix: "make room there",
    check: ({ target }) => {
      const free = valueOf(target?.room)?.freeBytes ?? Infinity;
      return free >= leastBytes && free < comfortableBytes
        ? `${inMiB(free)} are free on ${target?.cluster}`
        : null;
    },
  },
  {
    id: "data-key-unreadable",
    severity: "blocking",
    means: "the application would be started without a key to its storage",
    fix: "put the key where the storage's manifest says that it is",
    check: ({ target }) => unseen(target?.dataKey, `the data key for ${target?.cluster} cannot be used`),
  },
  {
    id: "data-key-temporary",
    severity: "warning",
    means: "it may run out before the operation could end, and then while the application runs",
    fix: "use a key that stays, or one that the agent serves anew",
    check: ({ fence, records, target }) =>
      fence === null &&
      valueOf(target?.dataKey)?.isTemporary === true &&
      records.storage.credentials.delivery !== "endpoint"
        ? `the data key for ${target?.cluster} is of a session`
        : null,
  },
  {
    id: "target-own-endpoint",
    severity: "info",
    means:
      "the probe went there from here; the agent looks from there while it is prepared, before anything is stopped",
    fix: "nothing need be done",
    check: ({ records: { storage }, target }) =>
      target !== null && Object.hasOwn(storage.clusters ?? {}, target.cluster)
        ? `${target.cluster} reaches the storage on a way of its own`
        : null,
  },
];

const inMiB = (bytes: number): string => `${Math.floor(bytes / mebibyte)} MiB`;
