import { isAppError } from "@baton/protocol";
import { create } from "../fixtures/lease-samples.ts";
import { leaseKey } from "../lease.ts";
import { type LeaseView, type LeaseWrite, applyLeaseWrite, readLease } from "../lease-write.ts";
import type { Behaviour } from "./behaviour.ts";

const { prefix } = create;
const key = leaseKey(prefix);
const timeoutMs = 1_000;
const pauseMs = 1_000;
/** Of the deadline, after one request, one look and one pause. */
const restMs = 1_900;

type Apply = Behaviour["apply"];
type ApplyParams = Parameters<Apply>[0];

/** After an unclear answer it looks (rule 7), and when it sees nothing of its write does what `otherwise` says. */
const looks =
  (otherwise: (params: ApplyParams, now: LeaseView) => ReturnType<Apply>): Apply =>
  async (params) => {
    const { store, write, clock } = params;
    const { body, expectedEtag } = write;
    const condition =
      expectedEtag === null
        ? ({ kind: "absent" } as const)
        : ({ kind: "match", etag: expectedEtag } as const);
    try {
      const put = await store.put({ key, body, condition, timeoutMs });
      if (put.kind === "stored") return { kind: "applied", etag: put.etag };
    } catch (error) {
      if (!isAppError(error) || error.code !== "storage-unclear") throw error;
      const now = await readLease({ store, prefix, timeoutMs });
      if (now !== null && now.etag === expectedEtag) return otherwise(params, now);
    }
    return applyLeaseWrite({ store, write, deadlineMs: restMs, clock });
  };

/** Makes another write of it: the first is still under way, and may be the one that is taken. */
const retriesAnew: Apply = looks(async ({ store, write, clock, stamp }) => {
  await clock.sleep(pauseMs);
  const renamed = { ...write.lease, ...stamp() };
  const lease = { ...renamed, history: [...write.lease.history.slice(0, -1), renamed.nonce] };
  const another: LeaseWrite = { ...write, nonce: lease.nonce, lease, body: JSON.stringify(lease) };
  const result = await applyLeaseWrite({ store, write: another, deadlineMs: restMs, clock });
  return { ...result, write: another };
});

/** Believes what it sees. */
const callsItNotApplied: Apply = looks(async (_, current) => ({
  kind: "superseded",
  wasTaken: false,
  current,
}));

const renewsWithoutCondition: Behaviour["renew"] = async (store, { lease }) => {
  const put = await store.put({ key, body: JSON.stringify(lease), timeoutMs });
  return { lease, etag: put.kind === "stored" ? put.etag : "" };
};

/** Code as others wrote it, or as it was nearly written here; by what is wrong with it. */
export const brokenBehaviours = {
  "looks after an unclear answer and makes another write": { apply: retriesAnew },
  "looks after an unclear answer and calls its write not applied": { apply: callsItNotApplied },
  "renews without a condition": { renew: renewsWithoutCondition },
  "deletes the lease at the release": { release: (store) => store.remove({ key, timeoutMs }).catch(ignore) },
  "counts its nonces from one again after a crash": { nonce: ({ name }, count) => `${name}.${count}` },
  "forgets its deadline": {
    apply: (params) => applyLeaseWrite({ ...params, deadlineMs: 10 * params.deadlineMs }),
  },
  "takes the age of the lease on the wall clock for evidence": { evidence: "age of the lease" },
  "takes silence for evidence": { evidence: "silence" },
  "takes a fence of the lease for one of the writer": { evidence: "fence of the lease" },
} satisfies Record<string, Partial<Behaviour>>;

const ignore = (error: unknown): void => {
  if (!isAppError(error)) throw error;
};
