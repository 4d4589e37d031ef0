import { expect, it } from "vitest";
import { type LeaseObservation, observeLease } from "./lease-observation.ts";

/** ETag, asked at, answered at. */
type Look = readonly [string, number, number];
const after = (...looks: readonly Look[]): LeaseObservation | null =>
  looks.reduce<LeaseObservation | null>(
    (before, [etag, askedAtMs, answeredAtMs]) => observeLease(before, { etag, askedAtMs, answeredAtMs }),
    null,
  );

it.each<[string, readonly Look[], Partial<LeaseObservation>]>([
  ["nothing of one look", [["a", 0, 90]], { unchangedForMs: 0, looks: 1 }],
  [
    "no more than from the first answer to the last question",
    [
      ["a", 0, 90],
      ["a", 100, 500],
    ],
    { unchangedForMs: 10, looks: 2 },
  ],
  [
    "the whole time between two looks, however far apart",
    [
      ["a", 0, 10],
      ["a", 7_200_010, 7_200_020],
    ],
    { unchangedForMs: 7_200_000 },
  ],
  [
    "nothing of the time before a change",
    [
      ["a", 0, 10],
      ["a", 100, 110],
      ["b", 200, 210],
      ["b", 260, 270],
    ],
    { etag: "b", sinceMs: 210, unchangedForMs: 50, looks: 2 },
  ],
  [
    "nothing when the first answer came after the second question",
    [
      ["a", 0, 90],
      ["a", 50, 95],
    ],
    { unchangedForMs: 0 },
  ],
  [
    "as much as before when an earlier question is answered late",
    [
      ["a", 0, 10],
      ["a", 100, 110],
      ["a", 50, 120],
    ],
    { unchangedForMs: 90, looks: 3 },
  ],
])("says %s", (_, looks, expected) => {
  expect(after(...looks)).toMatchObject(expected);
});
