import type { SurveyedReference } from "@baton/clusters";
import type { PreflightFacts } from "./facts.ts";
import { type Rule, valueOf } from "./rule.ts";
import { inOne } from "./surveyed.ts";

interface Pair {
  readonly there: SurveyedReference;
  /** The same on the source; undefined where there is none, or nobody looked. */
  readonly here: SurveyedReference | undefined;
}

/** What the workload names on the target, beside what it has of that on the source. */
function tellPairs(facts: PreflightFacts, tell: (pair: Pair) => string | null): string | null {
  const { source, target } = facts;
  const here = new Map(valueOf(source?.survey)?.references.map((one) => [one.what, one]));
  const wanted = valueOf(target?.survey)?.references ?? [];
  const details = wanted.flatMap((there) => tell({ there, here: here.get(there.what) }) ?? []);
  return inOne(details.map((detail) => `on ${target?.cluster}: ${detail}`));
}

const differs = ({ there, here }: Pair): boolean =>
  there.digest !== null && typeof here?.digest === "string" && there.digest !== here.digest;

const withDetail = ({ what, detail }: SurveyedReference): string =>
  detail === null ? what : `${what} (${detail})`;

/** What the workload needs and does not bring: it must be on the target, and be the same where both have it. */
export const referenceRules: readonly Rule[] = [
  {
    id: "reference-missing",
    severity: "blocking",
    means: "the pod would not start there",
    fix: "make it there",
    check: (facts) =>
      tellPairs(facts, (pair) =>
        pair.there.state === "absent" && !pair.there.optional ? `no ${withDetail(pair.there)}` : null,
      ),
  },
  {
    id: "reference-optional-missing",
    severity: "warning",
    means: "the application starts without what it has where it is now",
    fix: "make it there, unless it is not wanted there",
    check: (facts) =>
      tellPairs(facts, (pair) =>
        pair.there.state === "absent" && pair.there.optional && pair.here?.state === "there"
          ? `no ${withDetail(pair.there)}, which is optional`
          : null,
      ),
  },
  {
    id: "reference-unseen",
    severity: "warning",
    means: "whether it is there, or the same, is found out only while the target is prepared, or by nobody",
    fix: "let the orchestrator read it, or look at it yourself",
    check: (facts) =>
      tellPairs(facts, ({ there, here }) => {
        if (there.state === "unknown") return withDetail(there);
        return here?.state === "unknown" && there.digest !== null
          ? `${there.what} has nothing to be compared with: ${here.detail ?? "it was not seen"}`
          : null;
      }),
  },
  {
    id: "reference-differs",
    severity: "warning",
    means: "the application starts with other settings or secrets than it has now",
    fix: "make them the same, unless they are meant to differ",
    check: (facts) =>
      tellPairs(facts, (pair) => (differs(pair) ? `${pair.there.what} is not as on the source` : null)),
  },
];
