/** What was seen to happen, so that a simulation in which nothing interesting happens does not pass for a proof. */
export const sightings = [
  "handover",
  "fence",
  "burn",
  "restart",
  "renewal",
  "foreign refusal",
  "old change refused",
  "old change in effect, or done by its echo",
  "wall clock jump",
  "suspension",
  "pause across a handover",
  "fence against a frozen holder",
  "fenced run alive beside its successor",
  "start written, fenced before it was executed",
  "duplicate after another write",
  "crash between write and answer",
  "planned write sent by another life",
  "write superseded",
  "write forgotten",
  "write left unclear",
  "deadline passed while frozen",
  "takeover by another orchestrator",
  "silence observed",
] as const;
export type Sighting = (typeof sightings)[number];

export interface Sights {
  readonly counts: Record<Sighting, number>;
  see(what: Sighting): void;
}

export function createSights(): Sights {
  const counts = Object.fromEntries(sightings.map((each) => [each, 0])) as Record<Sighting, number>;
  return {
    counts,
    see(what) {
      counts[what] += 1;
    },
  };
}
