import { AppError } from "@baton/protocol";
import { describe, expect, it } from "vitest";
import { createTestClock } from "../test-clock.ts";
import { assertRoleOpen, fenceRole } from "./fence-role.ts";
import type { LoginAnswer, Remnant, RoleAdmin, TryLogin } from "./role-admin.port.ts";

const role = "ledger-1";
const unclear = new AppError("storage-unclear", "no answer");
const powerless = new AppError("storage-credentials", "may not");
const session = (id: string): Remnant => ({ kind: "session", id });
const starting = (id: string): Remnant => ({ kind: "starting", id });
const prepared: Remnant = { kind: "prepared", id: "booking in app" };
const login: Remnant = { kind: "login", id: "may log in" };
const power: Remnant = { kind: "power", id: "createrole ledger-1" };
const refused: LoginAnswer = { kind: "refused", code: "28P01" };
const letIn: LoginAnswer = { kind: "let-in", as: role };

/** Says one after the other, the last for ever. */
function saying<T>(...answers: readonly (T | AppError)[]): () => Promise<T> {
  let next = 0;
  return async () => {
    const answer = answers[Math.min(next, answers.length - 1)] as T | AppError;
    next += 1;
    if (answer instanceof AppError) throw answer;
    return answer;
  };
}

function createStage(params: {
  readonly listings?: readonly (readonly Remnant[] | AppError)[];
  readonly logins?: readonly (LoginAnswer | AppError)[];
  readonly ending?: readonly (undefined | AppError)[];
  readonly disabling?: AppError;
}) {
  const { listings = [[]], logins = [refused], ending = [undefined], disabling } = params;
  const calls: string[] = [];
  const called = <T>(name: string, act: () => Promise<T>) => {
    return ({ timeoutMs }: { readonly timeoutMs: number }): Promise<T> => {
      expect(timeoutMs).toBeGreaterThan(0);
      calls.push(name);
      return act();
    };
  };
  const admin: RoleAdmin = {
    disable: called("disable", saying(disabling ?? undefined) as () => Promise<void>),
    endSessions: called("end", saying<undefined>(...ending) as () => Promise<void>),
    remnants: called("list", saying(...listings)),
  };
  const tryLogin: TryLogin = called("login", saying(...logins));
  return {
    calls,
    fence: (deadlineMs = 60_000) =>
      fenceRole({ admin, role, tryLogin, deadlineMs, clock: createTestClock() }),
    assertOpen: () => assertRoleOpen({ admin, role, tryLogin, timeoutMs: 1_000 }),
  };
}
const unproven = (why: string): unknown =>
  expect.objectContaining({ code: "fence-unproven", message: expect.stringContaining(why) as unknown });

describe("fenceRole", () => {
  it("disables, sees the login refused, ends what is there, and lists until nothing is, three times in a row", async () => {
    const stage = createStage({ listings: [[session("a"), session("b")], [session("b")], []] });
    expect(await stage.fence()).toMatchObject({
      role,
      refused: { code: "28P01", tries: 3 },
      ended: ["a", "b"],
    });
    const lists = ["list", "end", "list", "end", "list", "list", "list"];
    expect(stage.calls).toEqual(["disable", "login", "login", "login", ...lists]);
  });

  it("begins its count anew when a session comes back", async () => {
    const stage = createStage({ listings: [[], [], [session("late")], []] });
    expect((await stage.fence()).ended).toEqual(["late"]);
    expect(stage.calls.filter((call) => call === "list")).toHaveLength(6);
  });

  it("begins its count anew when a listing gets no answer", async () => {
    const stage = createStage({ listings: [[], [], unclear, []] });
    await stage.fence();
    expect(stage.calls.filter((call) => call === "list")).toHaveLength(6);
  });

  it.each([
    ["a session that does not end", { listings: [[session("stuck")]] }, "sessions are still there (stuck)"],
    ["sessions that come and go", { listings: [[], [], [session("a")], [], [], [session("b")]] }, "(b)"],
    ["listings without an answer", { listings: [unclear] }, "no answer"],
    ["endings without an answer", { listings: [[session("a")]], ending: [unclear] }, "no answer"],
    ["one login that is let in", { logins: [refused, refused, letIn] }, "was let in"],
    ["logins without an answer", { logins: [refused, refused, unclear] }, "no answer"],
  ] as const)("is not proven by %s until the deadline", async (_, given, why) => {
    await expect(createStage(given).fence()).rejects.toEqual(unproven(why));
  });

  it("lists nothing before the login is refused", async () => {
    const stage = createStage({ logins: [letIn] });
    await expect(stage.fence(1_000)).rejects.toEqual(unproven("was let in"));
    expect(stage.calls).not.toContain("list");
  });

  it("is not proven when the time is up in the middle of good answers", () =>
    expect(createStage({}).fence(300)).rejects.toEqual(unproven("the time is up")));

  it("waits for a connection that was being let in when the role was disabled, and for no later one", async () => {
    const early = starting("1");
    const stage = createStage({
      listings: [[early], [early, starting("2")], [session("1")], [starting("2")], [starting("3")]],
    });
    expect((await stage.fence()).ended).toEqual(["1"]);
    await expect(createStage({ listings: [[early]] }).fence()).rejects.toEqual(
      unproven("connections are being let in"),
    );
  });

  it.each([
    ["a prepared transaction", prepared, "prepared transactions can still be committed"],
    ["a login that is allowed again", login, "somebody let it log in again"],
    ["a power", power, "it has powers"],
  ] as const)("ends the sessions first, and then waits for nobody because of %s", async (_, left, why) => {
    const stage = createStage({ listings: [[session("a"), left], [left]] });
    await expect(stage.fence()).rejects.toEqual(unproven(`${why}`));
    expect(stage.calls.slice(-3)).toEqual(["list", "end", "list"]);
  });

  it("names some of many, and how many more there are", () =>
    expect(createStage({ listings: [["a", "b", "c", "d", "e"].map(session)] }).fence()).rejects.toEqual(
      unproven("(a, b, c, and 2 more)"),
    ));

  it.each([
    ["disable", { disabling: powerless }],
    ["see all sessions", { listings: [powerless] }],
    ["end sessions", { listings: [[session("a")]], ending: [powerless] }],
  ] as const)("says at once that the administrator may not %s", async (_, given) => {
    const stage = createStage(given);
    await expect(stage.fence()).rejects.toBe(powerless);
    expect(stage.calls.filter((call) => call === "list").length).toBeLessThanOrEqual(1);
  });

  it("passes on an answer to disabling that nobody got: nothing was looked at yet", async () => {
    const stage = createStage({ disabling: unclear });
    await expect(stage.fence()).rejects.toBe(unclear);
    expect(stage.calls).toEqual(["disable"]);
  });
});

describe("assertRoleOpen", () => {
  it("is content when the password is let in as the role", () =>
    expect(createStage({ logins: [letIn], listings: [[login]] }).assertOpen()).resolves.toBeUndefined());
  it("is not when it is refused already, or is another role's", async () => {
    await expect(createStage({}).assertOpen()).rejects.toEqual(unproven("refuses its password already"));
    const pooled = createStage({ logins: [{ kind: "let-in", as: "pool" }] });
    await expect(pooled.assertOpen()).rejects.toEqual(unproven('"pool"'));
  });
  it("is not with a role that could get around its fence", () =>
    expect(createStage({ logins: [letIn], listings: [[login, power]] }).assertOpen()).rejects.toEqual(
      unproven("createrole ledger-1"),
    ));
  it("passes on that nobody answers", () =>
    expect(createStage({ logins: [unclear] }).assertOpen()).rejects.toBe(unclear));
});
