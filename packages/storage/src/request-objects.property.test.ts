import { isAppError, newPlacementId } from "@baton/protocol";
import fc from "fast-check";
import { expect, it } from "vitest";
import { type MemoryBucket, type MemoryFault, createMemoryBucket } from "./memory-bucket.ts";
import type { ObjectStore } from "./object-store.port.ts";
import {
  type RequestContent,
  type RequestWrite,
  applyRequestWrite,
  planRequest,
  readRequest,
  requestKey,
} from "./request-objects.ts";
import { createTestClock } from "./test-clock.ts";

const prefix = "ledger/";
const placement = newPlacementId();
const at = (store: ObjectStore) => ({ store, prefix, placement });
const withdrawal: RequestContent = { state: "asked", kind: "withdraw", token: "d.e.f" };

/** Whether an agent that means to accept may begin its stop. Throws while that is not known: it asks again with the same write. */
type Accept = (store: ObjectStore, write: RequestWrite, deadlineMs: number) => Promise<boolean>;

const accept: Accept = async (store, write, deadlineMs) => {
  const result = await applyRequestWrite({ ...at(store), write, deadlineMs, clock: createTestClock() });
  return result.kind === "applied";
};
const withoutCondition: Accept = async (store, { body }, timeoutMs) => {
  await store.put({ key: requestKey(prefix, placement), body, timeoutMs });
  return true;
};
const beforeItIsCertain: Accept = async (store, write, deadlineMs) =>
  accept(store, write, deadlineMs).catch((error: unknown) => {
    if (isAppError(error) && error.code === "storage-unclear") return true;
    throw error;
  });
const untilItIsRefused: Accept = async (store, { body, expectedEtag }, timeoutMs) => {
  const condition = { kind: "match", etag: expectedEtag ?? "" } as const;
  const put = await store.put({ key: requestKey(prefix, placement), body, condition, timeoutMs });
  return put.kind === "stored";
};

/** What happens just before a request of the first agent. */
const events = fc.array(
  fc.constantFrom("nothing", "nothing", "nothing", "late", "withdraw", "other agent", "read"),
  {
    maxLength: 12,
  },
);
const faults = fc.array(
  fc.constantFrom<MemoryFault>(
    { kind: "unclear", write: "applied" },
    { kind: "unclear", write: "dropped" },
    { kind: "unclear", write: "late" },
    { kind: "refused" },
    { kind: "error", code: "storage-unreachable" },
    { kind: "unclear", write: "dropped", on: "get" },
  ),
  { maxLength: 8 },
);
type Event = "nothing" | "late" | "withdraw" | "other agent" | "read";

/** One stop that two agents would accept, while its asker withdraws it or asks for something else, and answers are lost. */
async function play(
  accepting: Accept,
  planted: readonly MemoryFault[],
  timeline: readonly Event[],
  deadlineMs: number,
): Promise<{ begun: string[]; withdrawn: boolean; bucket: MemoryBucket }> {
  const next = timeline.values();
  let isBusy = false;
  let withdrawn = false;
  const begun: string[] = [];
  const bucket = createMemoryBucket({
    beforeRequest: async () => {
      if (isBusy) return;
      isBusy = true;
      const event = next.next().value ?? "nothing";
      if (event === "late") bucket.deliverLate();
      if (event === "withdraw") await withdrawIt();
      if (event === "other agent") await agent("b");
      if (event === "read") await ask(withdrawal).catch(ignoreApp);
      isBusy = false;
    },
  });
  const store = bucket.open();
  const plan = async (content: RequestContent) => {
    const seen = await readRequest({ ...at(store), timeoutMs: 1_000 });
    return { seen, write: planRequest(seen, content) };
  };
  const ask = async (content: RequestContent) => {
    const { write } = await plan(content);
    return applyRequestWrite({ ...at(store), write, deadlineMs, clock: createTestClock() });
  };
  /** Counts as withdrawn only what was replaced for certain while it was asked. */
  const withdrawIt = async (): Promise<void> => {
    const planned = await plan(withdrawal).catch(ignoreApp);
    const request = planned?.seen?.request;
    if (planned === null || request?.state !== "asked" || request.kind !== "stop") return;
    const params = { ...at(store), write: planned.write, deadlineMs, clock: createTestClock() };
    const result = await applyRequestWrite(params).catch(ignoreApp);
    if (result?.kind === "applied") withdrawn = true;
  };
  const accepted = (instance: string): RequestContent => ({ state: "accepted", instance, status: null });
  const agent = async (instance: string, tries = 1): Promise<void> => {
    const seen = await readRequest({ ...at(store), timeoutMs: 1_000 }).catch(ignoreApp);
    if (seen?.request?.state !== "asked" || seen.request.kind !== "stop") return;
    const write = planRequest(seen, accepted(instance));
    for (let left = tries; left > 0; left -= 1) {
      const answer = await accepting(store, write, deadlineMs).catch(ignoreApp);
      if (answer === true) begun.push(instance);
      if (answer === true || answer === false) return;
    }
  };

  isBusy = true;
  await ask({ state: "asked", kind: "stop", token: "a.b.c" });
  isBusy = false;
  bucket.inject(...planted);
  await agent("a", 2);
  isBusy = true;
  bucket.deliverLate();
  return { begun, withdrawn, bucket };
}

const ignoreApp = (error: unknown): null => {
  if (!isAppError(error)) throw error;
  return null;
};

const seen = { begun: 0, withdrawn: 0, neither: 0 };
const property = (accepting: Accept) =>
  fc.asyncProperty(
    faults,
    events,
    fc.integer({ min: 1, max: 2_000 }),
    async (planted, timeline, deadlineMs) => {
      const { begun, withdrawn, bucket } = await play(accepting, planted, timeline, deadlineMs);
      expect(begun.length).toBeLessThanOrEqual(1);
      if (withdrawn) expect(begun).toEqual([]);
      const acceptances = bucket.commits.filter(({ body }) => body.includes('"accepted"'));
      expect(acceptances.length).toBeLessThanOrEqual(1);
      for (const instance of begun)
        expect(acceptances.map(({ body }) => JSON.parse(body) as unknown)).toMatchObject([{ instance }]);
      seen[begun.length > 0 ? "begun" : withdrawn ? "withdrawn" : "neither"] += 1;
    },
  );

it("lets at most one agent begin a stop, none that was withdrawn, and none before its acceptance is there", async () => {
  await fc.assert(property(accept), { numRuns: 1_000, seed: 7 });
  for (const count of Object.values(seen)) expect(count).toBeGreaterThan(30);
});

/** Planted faults: what the property is worth. */
it.each([
  ["accepts without a condition", withoutCondition],
  ["begins before it is certain", beforeItIsCertain],
])("catches an agent that %s", async (_, accepting) => {
  await expect(fc.assert(property(accepting), { numRuns: 1_000, seed: 7 })).rejects.toThrow(
    "Property failed",
  );
});

it("shows that an acceptance whose lost answer is not asked for again would be a stop that nobody does", async () => {
  const planted: MemoryFault[] = [{ kind: "unclear", write: "applied" }];
  const careless = await play(untilItIsRefused, planted, [], 1_000);
  expect(careless.begun).toEqual([]);
  expect(careless.bucket.commits.at(-1)?.body).toContain('"accepted"');
  expect((await play(accept, planted, [], 1_000)).begun).toEqual(["a"]);
});
