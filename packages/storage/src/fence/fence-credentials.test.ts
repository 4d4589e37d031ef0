import { AppError } from "@baton/protocol";
import { beforeEach, describe, expect, it } from "vitest";
import { createTestClock } from "../test-clock.ts";
import type { ObjectStore } from "../object-store.port.ts";
import { assertDoorsOpen, fenceCredentials } from "./fence-credentials.ts";

const prefix = "ledger/";
type Said = "takes" | "denies" | "signature" | "skewed" | "unclear" | "unreachable" | "bare-403";

const errors: Readonly<Record<Exclude<Said, "takes">, AppError>> = {
  denies: new AppError("storage-credentials", "denied", { meta: { status: 403, s3Code: "AccessDenied" } }),
  signature: new AppError("storage-credentials", "wrong secret", {
    meta: { s3Code: "SignatureDoesNotMatch" },
  }),
  "bare-403": new AppError("storage-credentials", "a proxy says no", { meta: { status: 403 } }),
  skewed: new AppError("storage-failed", "clock", { meta: { s3Code: "RequestTimeTooSkewed" } }),
  unclear: new AppError("storage-unclear", "no answer"),
  unreachable: new AppError("storage-unreachable", "no connection"),
};

/** A way in that answers as told, the last answer for ever, and only after `disabled` if told so. */
function createDoor(endpoint: string, ...answers: readonly Said[]) {
  const writes: string[] = [];
  const next = answers.values();
  let last: Said = "takes";
  const store: ObjectStore = {
    get: () => Promise.reject(new Error("nothing is read")),
    put: async ({ key }) => {
      const { value, done } = next.next();
      if (done !== true) last = value;
      if (last !== "takes") throw errors[last];
      writes.push(key);
      return { kind: "stored", etag: '"1"' };
    },
    remove: async () => {},
  };
  return { endpoint, store, writes };
}

const inventory = { objects: 1, bytes: 2, digest: "0" };
let events: string[];
let abortedAtMs: number;
beforeEach(() => {
  events = [];
});
const fence = (
  doors: readonly ReturnType<typeof createDoor>[],
  deadlineMs = 60_000,
  settleMs = 5_000,
  then = async (): Promise<void> => {},
) => {
  const clock = createTestClock();
  return fenceCredentials({
    identities: {
      disable: ({ identity }) => {
        events.push(`disable ${identity}`);
        return then();
      },
    },
    identity: "baton-1",
    doors,
    prefix,
    settleMs,
    deadlineMs,
    abortUploads: async () => {
      abortedAtMs = clock.nowMs();
      events.push(`abort at ${clock.nowMs() >= settleMs ? "after" : "before"} settling`);
      return { aborted: 2, complete: true };
    },
    takeInventory: async () => {
      events.push("inventory");
      return inventory;
    },
    clock,
  });
};
const unproven = expect.objectContaining({ code: "fence-unproven" }) as unknown;

describe("fenceCredentials", () => {
  it("disables, sees every door refuse, settles, and only then aborts uploads", async () => {
    const doors = [createDoor("a", "denies"), createDoor("b", "takes", "takes", "denies")];
    expect(await fence(doors)).toMatchObject({
      identity: "baton-1",
      denied: [
        { endpoint: "a", tries: 3 },
        { endpoint: "b", tries: 5 },
      ],
      settleMs: 5_000,
      uploads: { aborted: 2, complete: true },
      inventory,
    });
    expect(events).toEqual(["disable baton-1", "disable baton-1", "abort at after settling", "inventory"]);
  });

  it("is not proven by a door that refused for a while only", async () => {
    const door = createDoor("a", "denies", "denies", "denies", "takes");
    await expect(fence([door])).rejects.toEqual(unproven);
    expect(events).not.toContain("abort at after settling");
  });

  it("begins its count anew when one of several servers behind a door still takes a write", async () => {
    const door = createDoor("a", "denies", "denies", "takes", "denies", "denies", "denies");
    expect((await fence([door])).denied).toMatchObject([{ tries: 6 }]);
  });

  it.each(["takes", "signature", "skewed", "unclear", "unreachable", "bare-403"] as const)(
    "is not proven by a door that %s for ever",
    async (said) => {
      await expect(fence([createDoor("a", "denies"), createDoor("b", said)])).rejects.toEqual(unproven);
      expect(events).toEqual(["disable baton-1"]);
    },
  );

  it("fault case 16: is not proven while one endpoint of four still takes the key, whichever it is", async () => {
    for (let open = 0; open < 4; open += 1) {
      events = [];
      const doors = ["a", "b", "c", "d"].map((name, at) =>
        createDoor(name, at === open ? "takes" : "denies"),
      );
      await expect(fence(doors)).rejects.toMatchObject({
        code: "fence-unproven",
        message: expect.stringContaining(`${"abcd"[open]} was not seen to refuse it`) as unknown,
      });
      expect(events).toEqual(["disable baton-1"]);
    }
  });

  it.each([30_000, 300_000])(
    "fault case 17: waits for a denial that comes %i ms late, and settles after it",
    async (lateMs) => {
      const takes = Array.from({ length: lateMs / 200 }, () => "takes" as const);
      const doors = [createDoor("a", "denies"), createDoor("b", ...takes, "denies")];
      const { denied } = await fence(doors, 480_000);
      expect(denied.map(({ tries }) => tries)).toEqual([3, takes.length + 3]);
      expect(abortedAtMs).toBeGreaterThanOrEqual(lateMs + 5_000);
      // Shorter than that it is not proven, however many others refuse.
      events = [];
      const again = [createDoor("a", "denies"), createDoor("b", ...takes, "denies")];
      await expect(fence(again, lateMs)).rejects.toEqual(unproven);
      expect(events).toEqual(["disable baton-1"]);
    },
  );

  it("is not proven when the time does not last for settling", async () => {
    await expect(fence([createDoor("a", "denies")], 4_000)).rejects.toEqual(unproven);
    expect(events).toEqual(["disable baton-1"]);
  });

  it("asks again where it is unclear whether the key was disabled", async () => {
    const unclear = ["storage-unclear", "storage-unreachable"] as const;
    const failures = unclear.map((code) => new AppError(code, "500")).values();
    const doors = [createDoor("a", "denies")];
    await fence(doors, 60_000, 5_000, async () => {
      const { value, done } = failures.next();
      if (done !== true) throw value;
    });
    expect(events.filter((event) => event.startsWith("disable"))).toHaveLength(4);
  });

  it("is not proven where the store's administration says no", async () => {
    const refused = new AppError("storage-credentials", "no administrator");
    await expect(
      fence([createDoor("a", "denies")], 60_000, 5_000, () => Promise.reject(refused)),
    ).rejects.toEqual(refused);
    expect(events).toEqual(["disable baton-1"]);
  });

  it("is not proven without a door", async () => {
    await expect(fence([])).rejects.toEqual(unproven);
    expect(events).toEqual([]);
  });

  it("tries below the prefix only", async () => {
    const door = createDoor("a", "takes", "denies");
    await fence([door]);
    expect(door.writes).toEqual([expect.stringMatching(/^ledger\/\.baton-fence-[0-9a-f]{32}$/)]);
  });
});

describe("assertDoorsOpen", () => {
  const check = (...doors: readonly ReturnType<typeof createDoor>[]) =>
    assertDoorsOpen({ doors, prefix, timeoutMs: 1_000 });
  it("is content when every door takes a write", async () => {
    const doors = [createDoor("a", "takes"), createDoor("b", "takes")];
    await check(...doors);
    expect(doors.map(({ writes }) => writes.length)).toEqual([1, 1]);
  });
  it("says which door refuses already, so that its refusal later proves nothing", () =>
    expect(check(createDoor("a", "takes"), createDoor("b", "denies"))).rejects.toMatchObject({
      code: "fence-unproven",
      message: expect.stringContaining("b refuses the key already") as unknown,
    }));
  it("passes on that a door does not answer", () =>
    expect(check(createDoor("a", "unreachable"))).rejects.toMatchObject({ code: "storage-unreachable" }));
  it("wants a door", () => expect(check()).rejects.toEqual(unproven));
});
