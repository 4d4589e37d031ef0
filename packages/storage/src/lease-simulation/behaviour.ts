import type { ObjectStore } from "../object-store.port.ts";
import { type LeaseView, type LeaseWrite, type LeaseWriteResult, applyLeaseWrite } from "../lease-write.ts";
import type { WriteStamp } from "../lease.ts";
import type { Clock } from "../clock.ts";
import type { Machine } from "./machine.ts";

/** Where somebody could have written the code otherwise; the sound one is what this project does. */
export interface Behaviour {
  /** Sends a planned write until its end is certain; `write` is what it made of it, if that is another one. */
  readonly apply: (params: {
    readonly store: ObjectStore;
    readonly write: LeaseWrite;
    readonly deadlineMs: number;
    readonly clock: Clock;
    readonly stamp: () => WriteStamp;
  }) => Promise<LeaseWriteResult & { readonly write?: LeaseWrite }>;
  /** What a holder does instead of a conditional renewal; null: nothing else. */
  readonly renew: ((store: ObjectStore, next: LeaseView) => Promise<LeaseView>) | null;
  /** After a stop was written. */
  readonly release: (store: ObjectStore) => Promise<void>;
  readonly nonce: (machine: Machine, count: number) => string;
  /** What an orchestrator takes for the end of a run that gave no receipt. */
  readonly evidence: "credentials refused" | "fence of the lease" | "silence" | "age of the lease";
}

export const sound: Behaviour = {
  apply: applyLeaseWrite,
  renew: null,
  release: () => Promise.resolve(),
  nonce: ({ name, life }, count) => `${name}.${life}.${count}`,
  evidence: "credentials refused",
};
