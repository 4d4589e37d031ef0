import { newPlacementId } from "@baton/protocol";
import { expect, it } from "vitest";
import { identityOf, identityPrefix } from "./application-policy.ts";

const bound = { bucket: "harbor", prefix: "ledger/" };

it("never gives two placements, epochs or bindings one identity", () => {
  const [a, b] = [newPlacementId(), newPlacementId()];
  const names = [
    identityOf(bound, a, 1),
    identityOf(bound, a, 11),
    identityOf(bound, b, 1),
    identityOf({ ...bound, prefix: "shop/" }, a, 1),
    identityOf({ bucket: "harbor/ledger", prefix: "/" }, a, 1),
  ];
  expect(new Set(names).size).toBe(names.length);
});

it("gives names that every provider takes, with the binding's beginning", () => {
  const identity = identityOf(bound, newPlacementId(), 2 ** 31);
  // AWS: session names of 2 to 64 characters.
  expect(identity).toMatch(/^[a-z0-9-]{2,64}$/);
  expect(identity.startsWith(identityPrefix(bound))).toBe(true);
});
