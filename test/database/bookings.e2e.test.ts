/** Safety rule 18, P1, P2 and P4 for an application whose data is in a managed database: its lease is in a bucket, its fence is the role. */
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { until } from "../containers/until.ts";
import { postgresOptions } from "../storage/postgres-bed.ts";
import { type BookingsParams, openBookings } from "./bookings-bed.ts";

type Bookings = Awaited<ReturnType<typeof openBookings>>;

/** Longer than a migration takes: it is the server that works it off. */
const burstMs = 120_000;
// No Node program minds this signal, so the source has to be killed.
const deaf = { signal: "SIGWINCH", graceMs: 500, killAllowed: true } as const;

describe("an application with a database", postgresOptions, () => {
  let bed: Bookings | undefined;
  afterEach(() => bed?.close(), 120_000);
  const open = async (params?: BookingsParams): Promise<Bookings> => {
    bed = await openBookings(params);
    expect(await bed.run("deploy", "harbor-a")).toMatchObject({ state: "committed", reason: null });
    return bed;
  };
  /** Moves it while its old session is busy at the server. @returns what the old role could do afterwards. */
  const moveBusy = async (bookings: Bookings) => {
    const before = await bookings.serving();
    await until("it writes", async () => {
      const { rows } = await bookings.data.query('select from bookings where "by" = $1 limit 1', [
        before.account.user,
      ]);
      return rows.length > 0;
    });
    const operation = await bookings.run("migrate", "harbor-b");
    if (operation.state !== "committed") return { operation, before, left: null, login: "" };
    const after = await bookings.serving();
    await until("the target wrote", async () => (await bookings.book("after")) === 201);
    // A session that was left would have written by now: it writes fifty times a second.
    const { rows } = await bookings.data.query("select pg_sleep(1)");
    expect(rows).toHaveLength(1);
    const left = await bookings.leftOf(before.account.user, after.account.user);
    return { operation, before, after, left, login: await bookings.tryLogin(before.account) };
  };

  it("moves, loses nothing, and has one writer; each placement has a role of its own, that nobody wrote down", async () => {
    const bookings = await open();
    const before = await bookings.serving();
    const acknowledged: string[] = [];
    let isOver = false;
    const writing = (async () => {
      for (let n = 0; !isOver; n += 1)
        if ((await bookings.book(`booking-${n}`)) === 201) acknowledged.push(`booking-${n}`);
    })();
    await until("some are booked", () => acknowledged.length > 20);
    const moved = await bookings.run("migrate", "harbor-b");
    const booked = acknowledged.length;
    await until("more are booked", () => acknowledged.length > booked + 20);
    isOver = true;
    await writing;

    expect(moved).toMatchObject({ state: "committed", fence: null, possibleLoss: false });
    const after = await bookings.serving();
    expect(after.cluster).toBe("harbor-b");
    const { rows } = await bookings.data.query("select id from bookings");
    const stored = new Set(rows.map(({ id }) => id as string));
    expect(acknowledged.filter((id) => !stored.has(id))).toEqual([]);
    expect(before.account.user).not.toBe(after.account.user);
    expect(await bookings.leftOf(before.account.user, after.account.user)).toEqual({
      lateRows: 0,
      sessions: 0,
    });
    expect(await bookings.tryLogin(before.account)).toBe("28P01");
    expect(await bookings.tryLogin(after.account)).toBe("let in");

    const { environment, account } = after;
    expect(environment.get("DATABASE_URL")).toContain(`${account.user}:${account.password}@127.0.0.1`);
    // Its bucket has its lease only.
    expect([...environment.keys()].filter((key) => key.startsWith("AWS_") && key.includes("KEY"))).toEqual(
      [],
    );
    expect(await filesWith(bookings.harbour.directory, [before.account.password, account.password])).toEqual(
      [],
    );
  });

  it("is not passed on from a killed source but behind the fence of its role, which ends what the server was still doing for it", async () => {
    const { operation, before, left, login } = await moveBusy(await open({ hook: deaf, burstMs }));
    expect(operation).toMatchObject({
      state: "committed",
      possibleLoss: true,
      receipt: { outcome: "forced", evidenceClass: "proven" },
      fence: { key: null, role: { role: before.account.user, refused: { code: "28P01" } } },
    });
    expect(operation.fence?.role?.ended).toHaveLength(1);
    expect({ left, login }).toEqual({ left: { lateRows: 0, sessions: 0 }, login: "28P01" });
  });

  it("is seen to have two writers where that fence does nothing (planted)", async () => {
    const { operation, left, login } = await moveBusy(await open({ hook: deaf, burstMs, planted: "fence" }));
    expect(operation).toMatchObject({ state: "committed", fence: { role: { ended: [] } } });
    expect(left?.lateRows).toBeGreaterThan(0);
    expect({ sessions: left?.sessions, login }).toEqual({ sessions: 1, login: "let in" });
  });

  it("has one writer though its source ended well and the server is still busy for it", async () => {
    const { operation, left, login } = await moveBusy(await open({ burstMs }));
    expect(operation).toMatchObject({ state: "committed", fence: null, receipt: { outcome: "graceful" } });
    expect({ left, login }).toEqual({ left: { lateRows: 0, sessions: 0 }, login: "28P01" });
  });

  it("is seen to have two writers then where a start shuts out nobody (planted)", async () => {
    const { operation, left } = await moveBusy(await open({ burstMs, planted: "start" }));
    expect(operation).toMatchObject({ state: "committed", receipt: { outcome: "graceful" } });
    expect(left?.lateRows).toBeGreaterThan(0);
  });

  it("is not passed on behind the fence of its role alone while it has a key to a bucket without one, and serves on", async () => {
    const bookings = await open({ hook: deaf, burstMs, storageUse: "data" });
    const { operation, before } = await moveBusy(bookings);
    expect(operation).toMatchObject({ state: "rolled-back", fence: null });
    expect(operation.reason).toContain('the storage "harbor" has no fence');
    const after = await bookings.serving();
    expect(after).toMatchObject({ cluster: "harbor-a", placement: before.placement });
    // Started again in another epoch, and so as another role.
    expect(after.account.user).not.toBe(before.account.user);
    await until("it books again", async () => (await bookings.book("again")) === 201);
    expect(await bookings.tryLogin(before.account)).toBe("28P01");
  });
});

async function filesWith(directory: string, secrets: readonly string[]): Promise<readonly string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const found = await Promise.all(
    files.map(async (file) => {
      const text = await readFile(file, "latin1").catch(() => "");
      return secrets.some((secret) => text.includes(secret)) ? [file] : [];
    }),
  );
  return found.flat();
}
