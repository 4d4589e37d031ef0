import { type Rule, unseen } from "./rule.ts";

/** Who is told where the application is served. Nothing of it holds an operation up: it is told until it is confirmed. */
export const trafficRules: readonly Rule[] = [
  {
    id: "traffic-unusable",
    severity: "warning",
    means: "clients are not led to where the application is served afterwards, until it can be told",
    fix: "put it right, and see `baton route` for what was told",
    check: ({ traffic }) =>
      traffic.flatMap(({ target, check }) => unseen(check, target) ?? []).join("; ") || null,
  },
];
