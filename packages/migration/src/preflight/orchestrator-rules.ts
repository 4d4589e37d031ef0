import { type Rule, unseen, valueOf } from "./rule.ts";

const mebibyte = 1_048_576;
const leastBytes = 64 * mebibyte;

/** What the orchestrator itself stands on. */
export const orchestratorRules: readonly Rule[] = [
  {
    id: "state-unwritable",
    severity: "blocking",
    means: "the orchestrator could not write down what it does",
    fix: "let it write to its state directory",
    check: ({ orchestrator }) => unseen(orchestrator.stateFreeBytes, "the state directory cannot be used"),
  },
  {
    id: "state-full",
    severity: "blocking",
    means: "the operation may stop in the middle, when nothing more can be written down",
    fix: "make room there",
    check: ({ orchestrator }) => {
      const free = valueOf(orchestrator.stateFreeBytes) ?? Infinity;
      return free < leastBytes
        ? `${Math.floor(free / mebibyte)} MiB are free below the orchestrator's state directory`
        : null;
    },
  },
];
