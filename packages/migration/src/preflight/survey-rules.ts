import { longestStopMs } from "@baton/protocol";
import { stopBudgetMs } from "../stop-times.ts";
import { type Rule, unseen } from "./rule.ts";
import { inOne, sidesOf, tellBoth } from "./surveyed.ts";

/** Where a workload is made of objects that others see too: what may be done there, and whether its pods are let in. */
export const surveyRules: readonly Rule[] = [
  {
    id: "survey-failed",
    severity: "warning",
    means: "nobody knows who else acts on the workload, and what it lacks",
    fix: "bring the cluster's API up, and let the orchestrator read it",
    check: (facts) =>
      inOne(
        sidesOf(facts).flatMap(
          ({ cluster, survey }) => unseen(survey, `what is around it on ${cluster} was not seen`) ?? [],
        ),
      ),
  },
  {
    id: "survey-incomplete",
    severity: "warning",
    means: "what could not be looked at may act on the workload, or keep it from starting",
    fix: "let the orchestrator read it, or look at it yourself",
    check: (facts) => tellBoth(facts, (survey) => survey.unseen),
  },
  {
    id: "rights-missing",
    severity: "blocking",
    means: "the operation would fail there, perhaps in its middle",
    fix: "grant them by a role to whoever the orchestrator is on that cluster",
    check: (facts) =>
      tellBoth(facts, ({ missingRights }) => missingRights.map((right) => `may not ${right}`)),
  },
  {
    id: "pods-refused",
    severity: "blocking",
    means: "the cluster would not let the pod in",
    fix: "raise the quota or the limits, or let the workload ask for what is there",
    check: ({ target }) =>
      inOne(
        target?.survey?.known === true
          ? target.survey.value.refusals.map((why) => `on ${target.cluster}: ${why}`)
          : [],
      ),
  },
  {
    id: "pod-grace-too-short",
    severity: "warning",
    means: "a node that is drained kills the application in the middle of its stop, and no receipt is left",
    fix: "raise terminationGracePeriodSeconds of the pod, or shorten the hook",
    check: (facts) => {
      const budget = stopBudgetMs({ graceMs: longestStopMs(facts.records.manifest.hook) });
      return tellBoth(facts, ({ graceMs }) =>
        graceMs !== null && graceMs < budget
          ? [`a pod gets ${graceMs} ms to end, and a stop may take ${budget} ms`]
          : [],
      );
    },
  },
];
