import { expect, it } from "vitest";
import { selects } from "./selects.ts";

const labels = { app: "ledger", tier: "back" };
const by = (selector: unknown) => selects({ spec: { selector } }, labels);
const expression = (key: string, operator: string, ...values: string[]) =>
  by({ matchExpressions: [{ key, operator, values }] });

it.each([
  ["labels", by({ matchLabels: { app: "ledger" } })],
  ["In", expression("app", "In", "x", "ledger")],
  ["NotIn", expression("app", "NotIn", "x")],
  ["NotIn, of no such label", expression("gone", "NotIn", "x")],
  ["Exists", expression("tier", "Exists")],
  ["DoesNotExist", expression("gone", "DoesNotExist")],
  ["an empty selector", by({})],
])("takes a pod by %s", (_what, taken) => expect(taken).toBe(true));

it.each([
  ["labels", by({ matchLabels: { app: "ledger", tier: "front" } })],
  ["In", expression("app", "In", "x")],
  ["In, of no such label", expression("gone", "In", "x")],
  ["NotIn", expression("app", "NotIn", "ledger")],
  ["Exists", expression("gone", "Exists")],
  ["DoesNotExist", expression("app", "DoesNotExist")],
  [
    "one of two",
    by({ matchLabels: { app: "ledger" }, matchExpressions: [{ key: "gone", operator: "Exists" }] }),
  ],
  ["no selector", by(undefined)],
  ["an operator that is not known", expression("app", "Like", "l")],
])("leaves a pod by %s", (_what, taken) => expect(taken).toBe(false));
