/** What was seen to happen, so that a simulation in which nothing happens does not pass for a proof. */
export const sightings = [
  "handover",
  "lease given back",
  "possible loss",
  "fenced run alive beside its successor",
  "restart in its slot",
  "agent adopts its application",
  "orchestrator takes over",
  "work of an orchestrator that was replaced",
  "stop withdrawn",
  "grant burned",
  "power cut",
  "partition",
  "halt",
  "abort",
  "override",
  "deploy committed",
  "migrate committed",
  "migrate rolled-back",
  "stop committed",
  "stop rolled-back",
  "start committed",
  "start rolled-back",
  "delete committed",
  "delete rolled-back",
] as const;
export type Sighting = (typeof sightings)[number];

export interface Sights {
  readonly counts: Record<Sighting, number>;
  see(what: Sighting): void;
}

export function createSights(): Sights {
  const counts = Object.fromEntries(sightings.map((each) => [each, 0])) as Record<Sighting, number>;
  return { counts, see: (what) => void (counts[what] += 1) };
}
