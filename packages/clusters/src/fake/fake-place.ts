import {
  type AgentEndpoint,
  type PrivateKey,
  type PublicKey,
  AppError,
  createKeyPair,
  newNonce,
} from "@baton/protocol";
import type { Cluster, PlacementSpec } from "../cluster.port.ts";

export interface FakePlacement {
  readonly spec: PlacementSpec;
  readonly keys: { readonly publicKey: PublicKey; readonly privateKey: PrivateKey };
  readonly applicationUrl: string;
  /** Null while the agent is dead. */
  endpoint: AgentEndpoint | null;
  isApplicationRunning: boolean;
  /** What keeps the witness from knowing; null: nothing. */
  witnessDoubt: string | null;
}

export type FakeMethod = Exclude<keyof Cluster, "name" | "capabilities">;

/** One moment of one call: `before` it did anything, or `after` it did all but its answer. */
export interface FakeCall {
  readonly method: FakeMethod;
  readonly placement: string | null;
  readonly moment: "before" | "after";
}

/** The world that fake drivers look at; it stays when a driver is opened anew, as a real place does. */
export interface FakePlace {
  readonly placements: Map<string, FakePlacement>;
  readonly removed: Set<string>;
  /** While true every call throws `cluster-unavailable`. */
  isUnavailable: boolean;
  /** Called at every moment of every call; what it throws, the call throws: a failure, a lost answer, a crash. */
  onCall: (call: FakeCall) => void;
}

export function createFakePlace(): FakePlace {
  return { placements: new Map(), removed: new Set(), isUnavailable: false, onCall: () => {} };
}

export async function createFakePlacement(spec: PlacementSpec): Promise<FakePlacement> {
  return {
    spec: structuredClone(spec),
    keys: await createKeyPair(),
    applicationUrl: `http://application.${spec.placement}.invalid`,
    endpoint: null,
    isApplicationRunning: false,
    witnessDoubt: null,
  };
}

/** Another life of the agent, with the same keys. */
export function startFakeAgent(placement: FakePlacement): AgentEndpoint {
  placement.endpoint = {
    placement: placement.spec.placement,
    instance: newNonce(),
    url: `http://agent.${placement.spec.placement}.invalid`,
    publicKey: placement.keys.publicKey,
    pid: 1,
    startTime: "1",
    bootId: "fake",
  };
  return placement.endpoint;
}

/** The placement, for a test that turns its knobs. @throws AppError `unknown-placement` */
export function fakePlacement(place: FakePlace, placement: string): FakePlacement {
  const found = place.placements.get(placement);
  if (found !== undefined) return found;
  throw new AppError(
    "unknown-placement",
    `cannot find placement ${placement}: it is not on the fake; place it`,
  );
}
