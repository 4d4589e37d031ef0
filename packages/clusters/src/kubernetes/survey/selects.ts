import { accepts } from "@baton/protocol";
import * as v from "valibot";

const selectorSchema = v.looseObject({
  spec: v.looseObject({
    selector: v.looseObject({
      matchLabels: v.optional(v.record(v.string(), v.string()), {}),
      matchExpressions: v.optional(
        v.array(
          v.looseObject({
            key: v.string(),
            operator: v.picklist(["In", "NotIn", "Exists", "DoesNotExist"]),
            values: v.optional(v.array(v.string()), []),
          }),
        ),
        [],
      ),
    }),
  }),
});

type Labels = Readonly<Record<string, string>>;

/** Whether the object's label selector takes pods with these labels. One without a selector takes none, an empty one all. */
export function selects(object: unknown, labels: Labels): boolean {
  if (!accepts(selectorSchema, object)) return false;
  const { matchLabels = {}, matchExpressions = [] } = object.spec.selector;
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key, operator, values = [] }) => {
      const label = labels[key];
      switch (operator) {
        case "In":
          return label !== undefined && values.includes(label);
        case "NotIn":
          return label === undefined || !values.includes(label);
        case "Exists":
          return label !== undefined;
        case "DoesNotExist":
          return label === undefined;
      }
    })
  );
}
