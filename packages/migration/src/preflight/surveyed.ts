import type { ClusterSurvey } from "@baton/clusters";
import type { PreflightFacts, SourceFacts, TargetFacts } from "./facts.ts";
import { valueOf } from "./rule.ts";

type Side = Pick<SourceFacts | TargetFacts, "cluster" | "survey">;

/** Where the application is, and where it shall be. */
export const sidesOf = ({ source, target }: PreflightFacts): readonly Side[] =>
  [source, target].filter((side) => side !== null);

/** What surveys say, on both sides, each with its cluster's name; null where they say nothing. */
export const tellBoth = (
  facts: PreflightFacts,
  tell: (survey: ClusterSurvey) => readonly string[],
): string | null =>
  inOne(
    sidesOf(facts).flatMap(({ cluster, survey }) => {
      const seen = valueOf(survey);
      return seen === undefined ? [] : tell(seen).map((detail) => `on ${cluster}: ${detail}`);
    }),
  );

export const inOne = (details: readonly string[]): string | null =>
  details.length === 0 ? null : details.join("; ");
