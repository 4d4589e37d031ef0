/** What stands beside a record of ours, in a TXT record of its own: whose it is, and how new. */
export interface Marker {
  readonly owner: string;
  readonly epoch: number;
  readonly revision: number;
  /** Whether the record itself is there. */
  readonly serving: boolean;
}

const pattern = /^baton owner=(\S+) epoch=(\d{1,15}) revision=(\d{1,15}) (serving|withdrawn)$/;

export const formatMarker = ({ owner, epoch, revision, serving }: Marker): string =>
  `baton owner=${owner} epoch=${epoch} revision=${revision} ${serving ? "serving" : "withdrawn"}`;

/** Null: it is none of ours. */
export function parseMarker(text: string): Marker | null {
  const [, owner, epoch, revision, state] = pattern.exec(text) ?? [];
  if (owner === undefined) return null;
  return { owner, epoch: Number(epoch), revision: Number(revision), serving: state === "serving" };
}
