import type { InfluenceKind } from "@baton/clusters";
import type { Rule } from "./rule.ts";
import { tellBoth } from "./surveyed.ts";

const found =
  (kind: InfluenceKind): Rule["check"] =>
  (facts) =>
    tellBoth(facts, ({ influences }) =>
      influences.filter((one) => one.kind === kind).map(({ detail }) => detail),
    );

const held = "what it starts is held by its agent and writes nothing, but it takes room and looks ill";

/**
 * Who acts on the workload's objects besides us. Whoever merely starts the source again does no harm, since nothing runs without a grant; whoever puts
 * the objects back as he knows them takes the agent out.
 */
export const influenceRules: readonly Rule[] = [
  {
    id: "reverted-by-gitops",
    severity: "blocking",
    means: "it takes the agent out again, and then the application starts without a grant beside another one",
    fix: "turn self-healing off (Argo CD), suspend the source (Flux), or take the objects out of it; where it cannot be seen, let the orchestrator read it",
    check: found("reverts"),
  },
  {
    id: "revived-by-argo",
    severity: "warning",
    means: `its next sync makes the source as it was: ${held}`,
    fix: "do not sync it until the move is in its repository, or take the objects out of it",
    check: found("argo-cd"),
  },
  {
    id: "revived-by-flux",
    severity: "warning",
    means: `once it is resumed it makes the source as it was: ${held}`,
    fix: "leave it suspended until the move is in its repository, or take the labels away",
    check: found("flux"),
  },
  {
    id: "revived-by-autoscaler",
    severity: "warning",
    means: `it starts more pods than the one that may write: ${held}`,
    fix: "delete the autoscaler: a single writer does not scale by pods",
    check: found("autoscaler"),
  },
  {
    id: "revived-by-keda",
    severity: "warning",
    means: `events scale it up again: ${held}`,
    fix: 'annotate the scaled object with autoscaling.keda.sh/paused "true", or delete it',
    check: found("keda"),
  },
  {
    id: "revived-by-operator",
    severity: "warning",
    means: `its operator may make the object anew, or change it: ${held}`,
    fix: "tell the operator to leave it, or move what it is owned by",
    check: found("operator"),
  },
  {
    id: "unmanaged-workload",
    severity: "warning",
    means: "it runs without an agent: nobody holds it, and no stop or fence of ours knows of it",
    fix: "delete it, once it is not needed any more",
    check: found("unmanaged"),
  },
  {
    id: "recreated-by-controller",
    severity: "info",
    means: "a pod that is deleted comes again and is held; that is how it is meant",
    fix: "nothing need be done",
    check: found("controller"),
  },
  {
    id: "never-restarted",
    severity: "warning",
    means: "an agent that dies there is not started again by its node, and its application is out of sight",
    fix: "set restartPolicy to Always, or to OnFailure for a job",
    check: found("never-restarted"),
  },
  {
    id: "guarded-by-budget",
    severity: "info",
    means: "a stop by command is no eviction: the budget neither keeps it nor protects from it",
    fix: "nothing need be done",
    check: found("disruption-budget"),
  },
  {
    id: "foreign-finalizer",
    severity: "warning",
    means: "once it is deleted it stays until somebody else lets go, and cannot be made anew until then",
    fix: "make sure that whoever set the finalizer runs, or take it away",
    check: found("finalizer"),
  },
];
