import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { withoutStronger, createKeyServer, type KeyServer } from "./served-key.ts";

const old = { accessKeyId: "AKOLD", secretAccessKey: "old-secret" };
const renewed = { accessKeyId: "AKNEW", secretAccessKey: "new-secret", sessionToken: "session" };
const start = Date.parse("2026-01-01T12:00:00Z");

let logs: string[];
let server: KeyServer;
beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"], now: start });
  logs = [];
  server = createKeyServer((...line) => logs.push(JSON.stringify(line)));
});
afterEach(async () => {
  await server.end();
  vi.useRealTimers();
});

type Told = Awaited<ReturnType<KeyServer["serve"]>>;
const ask = async (
  told: Told,
  token = told["AWS_CONTAINER_AUTHORIZATION_TOKEN"] ?? "",
  path = "",
  init = {},
) => {
  const url = `${told["AWS_CONTAINER_CREDENTIALS_FULL_URI"] ?? ""}${path}`;
  const answer = await fetch(url, { headers: token === "" ? {} : { authorization: token }, ...init });
  return { status: answer.status, text: await answer.text() };
};
const later = (seconds: number) => vi.setSystemTime(Date.now() + seconds * 1_000);

describe("a served key", () => {
  it("is told to who has the run's token, for five and a half minutes, as containers of AWS are told", async () => {
    const told = await server.serve(old);
    expect(told["AWS_CONTAINER_CREDENTIALS_FULL_URI"]).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/v1\/data-key$/);
    expect(JSON.stringify(told)).not.toContain(old.secretAccessKey);
    const { status, text } = await ask(told);
    expect({ status, ...(JSON.parse(text) as object) }).toEqual({
      status: 200,
      AccessKeyId: old.accessKeyId,
      SecretAccessKey: old.secretAccessKey,
      Token: "",
      Expiration: "2026-01-01T12:05:30.000Z",
    });
  });

  it("is told to nobody else, and nothing else is", async () => {
    const told = await server.serve(old);
    const right = told["AWS_CONTAINER_AUTHORIZATION_TOKEN"] ?? "";
    for (const wrong of ["", "x", right.slice(1), `${right}x`, `Bearer ${right}`])
      expect(await ask(told, wrong)).toEqual({ status: 401, text: "" });
    expect(await ask(told, right, "/../status")).toEqual({ status: 404, text: "" });
    expect(await ask(told, right, "", { method: "POST", headers: { authorization: right } })).toEqual({
      status: 405,
      text: "",
    });
    expect((await server.replace(old)).fetchedAt).toBeNull();
  });

  it("has another token and address for every run, and the run before is told nothing", async () => {
    const first = await server.serve(old);
    const second = await server.serve(renewed);
    const token = first["AWS_CONTAINER_AUTHORIZATION_TOKEN"] ?? "";
    expect(second["AWS_CONTAINER_AUTHORIZATION_TOKEN"]).not.toBe(token);
    expect(await ask(second, token)).toEqual({ status: 401, text: "" });
    await server.end();
    await expect(ask(second)).rejects.toThrow("fetch failed");
    await expect(server.replace(old)).rejects.toMatchObject({ code: "wrong-state" });
  });

  it("is replaced under the run; the old one is needed until its last answer runs out", async () => {
    const told = await server.serve(old);
    expect(await server.replace(old)).toEqual({ fetchedAt: null, oldUntil: null });
    await ask(told);
    later(10);
    await ask(told);
    const oldUntil = "2026-01-01T12:05:40.000Z";
    later(10);
    expect(await server.replace(renewed)).toEqual({ fetchedAt: null, oldUntil });
    later(10);
    expect(JSON.parse((await ask(told)).text)).toMatchObject({
      AccessKeyId: renewed.accessKeyId,
      SecretAccessKey: renewed.secretAccessKey,
      Token: renewed.sessionToken,
    });
    later(10);
    await ask(told);
    // Asked again with the same key: how far it has come.
    expect(await server.replace({ ...renewed })).toEqual({ fetchedAt: "2026-01-01T12:00:30.000Z", oldUntil });
  });

  it("that was never asked for leaves the end of the one before it", async () => {
    const told = await server.serve(old);
    await ask(told);
    await server.replace({ ...renewed, accessKeyId: "AKBETWEEN" });
    later(10);
    expect(await server.replace(renewed)).toEqual({ fetchedAt: null, oldUntil: "2026-01-01T12:05:30.000Z" });
  });
});

describe("an agent that starts again under an application that is served its key", () => {
  it("listens where the application asks, without a key until one is sent", async () => {
    const told = await server.serve(old);
    await server.end();
    later(10);
    server.resume(told);
    await vi.waitFor(async () => expect(await ask(told)).toEqual({ status: 503, text: "" }));
    expect(await ask(told, "wrong")).toEqual({ status: 401, text: "" });
    // The life before may have answered right before its end.
    expect(await server.replace(renewed)).toEqual({ fetchedAt: null, oldUntil: "2026-01-01T12:05:40.000Z" });
    expect((await ask(told)).status).toBe(200);
    expect(logs).toEqual([]);
  });

  it("says so when somebody else has its port, and tries again when a key comes", async () => {
    const other = createKeyServer(() => {});
    const told = await other.serve(old);
    server.resume(told);
    await vi.waitFor(() => expect(logs.join()).toContain("EADDRINUSE"));
    await expect(server.replace(renewed)).rejects.toMatchObject({ code: "agent-failed" });
    await other.end();
    await server.replace(renewed);
    expect((await ask(told)).status).toBe(200);
  });

  it.each<Record<string, string>>([
    {},
    { AWS_ACCESS_KEY_ID: "AKOLD" },
    {
      AWS_CONTAINER_CREDENTIALS_FULL_URI: "http://169.254.170.23/v1/credentials",
      AWS_CONTAINER_AUTHORIZATION_TOKEN: "another's",
    },
    { AWS_CONTAINER_CREDENTIALS_FULL_URI: "http://127.0.0.1:80/v1/data-key" },
  ])("has nothing to serve to one that was told %o", async (environment) => {
    server.resume(environment);
    await expect(server.replace(old)).rejects.toMatchObject({
      code: "wrong-state",
      message: expect.stringMatching(
        /^cannot replace the key: .*; a new one comes with its next start$/,
      ) as string,
    });
  });
});

it("leaves in an environment nothing that SDKs take before they ask", () => {
  const environment = { AWS_PROFILE: "p", AWS_ACCESS_KEY_ID: "a", AWS_REGION: "r", PATH: "/bin" };
  expect(withoutStronger(environment, {})).toBe(environment);
  const secrets = { AWS_CONTAINER_CREDENTIALS_FULL_URI: "http://127.0.0.1:1/v1/data-key" };
  expect(withoutStronger(environment, secrets)).toEqual({ AWS_REGION: "r", PATH: "/bin" });
});
