import { AppError, type KeyFence, isAppError, newNonce } from "@baton/protocol";
import { type Clock, systemClock } from "../clock.ts";
import { untilDefinite } from "../definite.ts";
import type { ObjectStore } from "../object-store.port.ts";
import { assertPrefix } from "../prefix.ts";
import { isDenial } from "./denial.ts";
import type { Identities } from "./identities.port.ts";

/** One way to the bucket, opened with the key that shall be refused there. */
export interface Door {
  readonly endpoint: string;
  readonly store: ObjectStore;
}

const denialsInARow = 3;
const betweenTriesMs = 200;
const tryTimeoutMs = 5_000;

const scratchKey = (prefix: string): string => `${prefix}.baton-fence-${newNonce()}`;

/**
 * Sees that every door takes a write with the key, which is then removed: without it a later refusal would prove nothing. Before anything is
 * disabled, and to be remembered.
 *
 * @throws AppError `fence-unproven` naming the door that refuses; what `ObjectStore` throws when one does not answer.
 */
export async function assertDoorsOpen(params: {
  readonly doors: readonly Door[];
  readonly prefix: string;
  readonly timeoutMs: number;
}): Promise<void> {
  const { doors, prefix, timeoutMs } = params;
  assertPrefix(prefix);
  if (doors.length === 0) throw unproven("there is no endpoint to try it at");
  for (const { endpoint, store } of doors) {
    const key = scratchKey(prefix);
    try {
      await store.put({ key, body: key, timeoutMs });
      await store.remove({ key, timeoutMs });
    } catch (error) {
      if (!isDenial(error)) throw error;
      throw unproven(
        `${endpoint} refuses the key already, so a refusal later would prove nothing; let somebody find out who disabled it`,
        error,
      );
    }
  }
}

/**
 * Orders that an identity is disabled, without proof. Stores fail now and then when two change a user at once: it is asked again, which is harmless.
 *
 * @throws AppError `storage-unclear` when the deadline passes; what `Identities` throws.
 */
export async function disableIdentity(params: {
  readonly identities: Pick<Identities, "disable">;
  readonly identity: string;
  readonly deadlineMs: number;
  readonly clock?: Clock | undefined;
}): Promise<void> {
  const { identities, identity } = params;
  await untilDefinite(params, `disable ${identity}`, async (timeoutMs) =>
    identities.disable({ identity, timeoutMs: timeoutMs() }),
  );
}

/**
 * Takes an identity's keys away for good and proves it: disables it, tries writes with the old key at every endpoint until each has refused several in a row, waits
 * for what had begun before, aborts the multipart uploads that are open, and takes the inventory that the next holder begins with. Idempotent: may be repeated as a whole at any time.
 *
 * The store checks a key when a request begins; a body that is half sent then may still be finished. `settleMs` must therefore be the longest time that the
 * store waits for the rest of one (the probe measures it), and the wait begins after the last refusal that was needed.
 *
 * @throws AppError `fence-unproven` when an endpoint still takes writes, gives no definite answer, or cannot be reached until the deadline: then nothing may
 * be handed over; what `Identities` throws.
 */
export async function fenceCredentials(params: {
  readonly identities: Pick<Identities, "disable">;
  readonly identity: string;
  readonly doors: readonly Door[];
  readonly prefix: string;
  readonly settleMs: number;
  readonly deadlineMs: number;
  /**
   * All that are open below the prefix. They are no danger by now, as completing one takes a key; but nobody would know what became of them.
   */
  readonly abortUploads: (params: { readonly timeoutMs: number }) => Promise<KeyFence["uploads"]>;
  readonly takeInventory: (params: { readonly timeoutMs: number }) => Promise<KeyFence["inventory"]>;
  readonly clock?: Clock | undefined;
}): Promise<KeyFence> {
  const { identities, identity, doors, prefix, settleMs, clock = systemClock } = params;
  assertPrefix(prefix);
  if (doors.length === 0) throw unproven("there is no endpoint to try it at");
  const end = clock.nowMs() + params.deadlineMs;
  const leftMs = (): number => Math.max(1, end - clock.nowMs());

  /** Until every door has refused. */
  const deny = async (): Promise<KeyFence["denied"]> => {
    await disableIdentity({ identities, identity, deadlineMs: leftMs(), clock });
    return Promise.all(doors.map((door) => waitForDenial({ door, prefix, clock, leftMs, endsAt: end })));
  };
  const disabledAt = new Date().toISOString();
  const denied = await deny();
  if (clock.nowMs() + settleMs > end)
    throw unproven(`the time is up before the ${settleMs} ms in which the store may still take a body`);
  await clock.sleep(settleMs);
  // Once more: an issue that was under way may have undone it, and an endpoint may have heard of something older meanwhile.
  await deny();
  const uploads = await params.abortUploads({ timeoutMs: leftMs() });
  const inventory = await params.takeInventory({ timeoutMs: leftMs() });
  return { identity, disabledAt, denied, settleMs, uploads, inventory };
}

/** Refusals in a row: one that is taken between them begins the count anew, as several servers stand behind one endpoint. */
async function waitForDenial(params: {
  readonly door: Door;
  readonly prefix: string;
  readonly clock: Clock;
  readonly leftMs: () => number;
  readonly endsAt: number;
}): Promise<KeyFence["denied"][number]> {
  const { door, prefix, clock, leftMs, endsAt } = params;
  const { endpoint, store } = door;
  let seen: unknown = "nothing";
  for (let tries = 1, inARow = 0; ; tries += 1) {
    const key = scratchKey(prefix);
    try {
      await store.put({ key, body: key, timeoutMs: Math.min(tryTimeoutMs, leftMs()) });
      inARow = 0;
      seen = "it took a write";
      // Only while it is still let in; one that stays harms nobody.
      await store.remove({ key, timeoutMs: Math.min(tryTimeoutMs, leftMs()) }).catch(() => undefined);
    } catch (error) {
      if (!isAppError(error)) throw error;
      inARow = isDenial(error) ? inARow + 1 : 0;
      seen = error;
    }
    if (inARow >= denialsInARow) return { endpoint, at: new Date().toISOString(), tries };
    if (clock.nowMs() + betweenTriesMs >= endsAt)
      throw unproven(
        `${endpoint} was not seen to refuse it ${denialsInARow} times in a row (the last answer: ${isAppError(seen) ? seen.message : String(seen)})`,
        seen,
      );
    await clock.sleep(betweenTriesMs);
  }
}

const unproven = (why: string, cause?: unknown): AppError =>
  new AppError(
    "fence-unproven",
    `cannot prove that the old key is taken away: ${why}; nothing may be handed over until it is`,
    { cause },
  );
