import { afterEach, describe, expect, it, vi } from "vitest";
import { newToken } from "../records/token-digest.ts";
import type { Caller } from "../records/token-records.ts";
import { createAuthenticator } from "./authenticate.ts";

const adminToken = "the-generated-admin-token";
const ci: Caller = { name: "ci", role: "operator" };

/** The database as it shall be, and how often it was asked. */
function withHolder(answer: (token: string) => Promise<Caller | null>) {
  const holder = vi.fn<typeof answer>(answer);
  return { holder, authenticate: createAuthenticator(adminToken, { holder }) };
}
const away = () => Promise.reject(new Error("connect ECONNREFUSED"));

afterEach(() => void vi.useRealTimers());

describe("whoever asks", () => {
  it("is known by the token", async () => {
    const token = newToken();
    const { authenticate } = withHolder(async (given) => (given === token ? ci : null));
    expect(await authenticate(`Bearer ${token}`)).toEqual(ci);
    expect(await authenticate(`bearer ${token}`)).toEqual(ci);
    await expect(authenticate(`Bearer ${newToken()}`)).rejects.toMatchObject({ code: "unauthenticated" });
  });

  it("has the generated admin token and needs no database for it", async () => {
    const { authenticate, holder } = withHolder(away);
    expect(await authenticate(`Bearer ${adminToken}`)).toEqual({ name: "bootstrap", role: "admin" });
    expect(holder).not.toHaveBeenCalled();
  });

  it("has no token, and costs the database nothing", async () => {
    const { authenticate, holder } = withHolder(async () => ci);
    const token = newToken();
    const none = [
      undefined,
      "",
      "Bearer",
      "Bearer ",
      "Bearer x",
      `Basic ${token}`,
      token,
      `Bearer ${token} ${token}`,
      `Bearer ${token}${token}`,
      `Bearer ${adminToken}x`,
      `Bearer ${"x".repeat(10_000)}`,
    ];
    for (const header of none)
      await expect(authenticate(header)).rejects.toMatchObject({ code: "unauthenticated" });
    expect(holder).not.toHaveBeenCalled();
  });

  it("is asked for anew every time", async () => {
    const answers = [ci, null];
    const { authenticate } = withHolder(async () => answers.shift() ?? null);
    const header = `Bearer ${newToken()}`;
    expect(await authenticate(header)).toEqual(ci);
    await expect(authenticate(header)).rejects.toMatchObject({ code: "unauthenticated" });
  });

  it("is not let in while the database is away, and not told that the token is wrong", async () => {
    const { authenticate } = withHolder(away);
    const token = newToken();
    const error = await authenticate(`Bearer ${token}`).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "database-unavailable" });
    expect(String(error)).not.toContain(token);
  });

  it("does not wait for a database that is silent", async () => {
    vi.useFakeTimers();
    const { authenticate } = withHolder(() => new Promise(() => undefined));
    const refused = authenticate(`Bearer ${newToken()}`).catch((reason: unknown) => reason);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(await refused).toMatchObject({ code: "database-unavailable" });
    expect(vi.getTimerCount()).toBe(0);
  });
});
