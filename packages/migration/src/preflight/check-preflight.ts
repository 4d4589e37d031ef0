import type { Finding } from "@baton/protocol";
import type { PreflightFacts } from "./facts.ts";
import { databaseRules } from "./database-rules.ts";
import { fenceRules } from "./fence-rules.ts";
import { hookRules } from "./hook-rules.ts";
import { influenceRules } from "./influence-rules.ts";
import { leaseRules } from "./lease-rules.ts";
import { operationRules } from "./operation-rules.ts";
import { orchestratorRules } from "./orchestrator-rules.ts";
import { referenceRules } from "./reference-rules.ts";
import type { Rule } from "./rule.ts";
import { sourceRules } from "./source-rules.ts";
import { storageRules } from "./storage-rules.ts";
import { surveyRules } from "./survey-rules.ts";
import { targetRules } from "./target-rules.ts";
import { trafficRules } from "./traffic-rules.ts";

/** The same in a plan and at run time. */
export const preflightRules: readonly Rule[] = [
  ...operationRules,
  ...sourceRules,
  ...targetRules,
  ...surveyRules,
  ...influenceRules,
  ...referenceRules,
  ...leaseRules,
  ...storageRules,
  ...databaseRules,
  ...fenceRules,
  ...hookRules,
  ...trafficRules,
  ...orchestratorRules,
];

const order = { blocking: 0, warning: 1, info: 2 } as const;

/** Everything that is to be said about the facts, what blocks first. */
export const checkPreflight = (facts: PreflightFacts): readonly Finding[] =>
  preflightRules
    .flatMap(({ check, ...rule }) => {
      const detail = check(facts);
      return detail === null ? [] : [{ ...rule, detail }];
    })
    .toSorted((a, b) => order[a.severity] - order[b.severity]);
