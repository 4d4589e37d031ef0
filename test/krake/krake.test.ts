import { afterEach, describe, expect, it } from "vitest";
import { krakeStates } from "./application.ts";
import { type Krake, type KrakeOptions, createKrake } from "./krake.ts";

// The Krake of the tests is as strict and as odd as the real one: one test for each row of its table, in the order in which it checks.

let krake: Krake;
afterEach(() => krake.close());

const waiting = async (options: KrakeOptions = {}) => {
  krake = await createKrake({ state: "WAITING_FOR_CLEANING", ...options });
};
const confirm = async (
  body: string | undefined = JSON.stringify({ token: krake.token }),
  init: RequestInit & { url?: string } = {},
) => {
  const answer = await fetch(init.url ?? krake.url, { method: "PUT", body, ...init });
  const text = await answer.text();
  const type = answer.headers.get("content-type") ?? "";
  return { code: answer.status, type, reason: answer.statusText, allow: answer.headers.get("allow"), text };
};
const json = (text: string) =>
  JSON.parse(text) as { type: string; status: { state: string } & Record<string, unknown> };
const refusedWith = (code: number) => ({ code, type: "application/problem+json" });

describe("the table of answers", () => {
  it("401 when nobody may be anonymous, before anything else", async () => {
    await waiting({ anonymous: false });
    expect(await confirm("not JSON", { method: "POST" })).toMatchObject(refusedWith(401));
  });

  it("405 with Allow for another method", async () => {
    await waiting();
    expect(await confirm(undefined, { method: "POST" })).toMatchObject({ code: 405, allow: "PUT" });
    expect(await confirm(undefined, { method: "GET", body: null })).toMatchObject({ code: 405 });
  });

  it("404 for a path that is no route", async () => {
    await waiting();
    expect(await confirm(undefined, { url: new URL("/shutdown", krake.url).href })).toMatchObject({
      code: 404,
    });
  });

  it("401 for an anonymous user under RBAC, before the body is read", async () => {
    await waiting({ mayConfirm: ["system:shutdown-hook"] });
    expect(await confirm("not JSON")).toMatchObject(refusedWith(401));
  });

  it("415 without a body or with one that is not JSON", async () => {
    await waiting();
    for (const body of ["", "token=1"]) expect(await confirm(body)).toMatchObject(refusedWith(415));
  });

  it("422 for JSON of another shape", async () => {
    await waiting();
    const kind = JSON.stringify({ token: krake.token, kind: "Complete" });
    const api = JSON.stringify({ token: krake.token, api: "openstack" });
    for (const body of ["[]", '"x"', "null", '{"token":1}', kind, api])
      expect(await confirm(body)).toMatchObject(refusedWith(422));
  });

  it("404 for an application that there is not, after its body was looked at", async () => {
    await waiting();
    const url = krake.url.replace("demo", "other");
    expect(await confirm("[]", { url })).toMatchObject(refusedWith(422));
    const { text, ...answer } = await confirm(undefined, { url });
    expect(answer).toMatchObject(refusedWith(404));
    expect(json(text).type).toMatch(/#not-found-error$/);
    krake.remove();
    expect(await confirm()).toMatchObject({ code: 404 });
  });

  it("401 with its own reason for a token that is missing, null or wrong", async () => {
    await waiting();
    for (const body of ["{}", '{"token":null}'])
      expect(await confirm(body)).toMatchObject({
        ...refusedWith(401),
        reason: "No token has been provided",
      });
    expect(await confirm('{"token":"x"}')).toMatchObject({ ...refusedWith(401), reason: "Invalid token" });
    expect(krake.state).toBe("WAITING_FOR_CLEANING");
  });

  it("401 for every token when the hook was never deployed", async () => {
    await waiting({ deployed: false });
    for (const body of [undefined, '{"token":null}', '{"token":""}'])
      expect(await confirm(body)).toMatchObject(refusedWith(401));
  });

  it("409 after a concurrent write, which leaves the state", async () => {
    await waiting();
    krake.fail("conflict");
    expect(await confirm()).toMatchObject(refusedWith(409));
    expect(krake.state).toBe("WAITING_FOR_CLEANING");
    expect(await confirm()).toMatchObject({ code: 200 });
  });

  it.each(krakeStates)("200 in state %s", async (state) => {
    await waiting({ state });
    const taken = state === "WAITING_FOR_CLEANING" || state === "DEGRADED";
    const { code, type, text } = await confirm();
    expect({ code, type }).toEqual({ code: 200, type: "application/json; charset=utf-8" });
    expect(json(text).status.state).toBe(taken ? "READY_FOR_ACTION" : state);
    expect(krake.state).toBe(taken ? "READY_FOR_ACTION" : state);
  });

  it("200 takes the grace timestamp away where it is taken, and leaves it where not", async () => {
    await waiting();
    if (krake.application === null) throw new Error("no application");
    krake.application.shutdownGracePeriod = "then";
    krake.state = "RUNNING";
    await confirm();
    expect(krake.application.shutdownGracePeriod).toBe("then");
    krake.state = "DEGRADED";
    await confirm();
    expect(krake.application.shutdownGracePeriod).toBeNull();
  });

  it("200 for the same confirmation again, without effect", async () => {
    await waiting();
    await confirm();
    krake.state = "DELETING";
    const { code, text } = await confirm();
    expect([code, json(text).status.state, krake.state]).toEqual([200, "DELETING", "DELETING"]);
  });

  it("200 whatever the content type is, and with fields that it does not know", async () => {
    await waiting();
    const headers = { "content-type": "application/x-www-form-urlencoded" };
    const body = JSON.stringify({ token: krake.token, api: "kubernetes", kind: "Shutdown", more: 1 });
    expect(await confirm(body, { headers })).toMatchObject({ code: 200 });
    expect(krake.state).toBe("READY_FOR_ACTION");
  });

  it("200 shows the token in clear", async () => {
    await waiting();
    expect(json((await confirm()).text).status["shutdown_token"]).toBe(krake.token);
  });
});

describe("the address", () => {
  it.each([
    ["system:admin", "/kubernetes/namespaces/system:admin/applications/demo/shutdown"],
    ["system%3Aadmin", "/kubernetes/namespaces/system%3Aadmin/applications/demo/shutdown"],
  ])("of namespace %s is heard as it was sent", async (namespace, target) => {
    await waiting({ namespace });
    expect(await confirm()).toMatchObject({ code: 200 });
    expect(krake.confirms).toMatchObject([
      { target, user: "anonymous", status: 200, answeredState: "READY_FOR_ACTION" },
    ]);
    expect(krake.application?.namespace).toBe("system:admin");
  });
});

describe("a fault", () => {
  it("happens once, in order", async () => {
    await waiting();
    krake.fail(503, "reset", { delayMs: 40 });
    expect(await confirm()).toMatchObject({ code: 503 });
    await expect(confirm()).rejects.toThrow("fetch failed");
    expect(krake.state).toBe("WAITING_FOR_CLEANING");
    const sentAt = performance.now();
    expect(await confirm()).toMatchObject({ code: 200 });
    expect(performance.now() - sentAt).toBeGreaterThanOrEqual(35);
    expect(krake.confirms.map(({ fault, status }) => ({ fault, status }))).toEqual([
      { fault: 503, status: 503 },
      { fault: "reset", status: null },
      { fault: { delayMs: 40 }, status: 200 },
    ]);
  });

  it("can lose the answer of a confirmation that was taken", async () => {
    await waiting();
    krake.fail("lost");
    await expect(confirm()).rejects.toThrow("fetch failed");
    expect(krake.state).toBe("READY_FOR_ACTION");
  });

  it("can hang until Krake ends", async () => {
    await waiting();
    krake.fail("hang");
    const pending = confirm().catch(() => "broken");
    await krake.until(({ confirms }) => confirms.length === 1);
    expect(krake.state).toBe("WAITING_FOR_CLEANING");
    await krake.close();
    expect(await pending).toBe("broken");
    krake = await createKrake();
  });

  it("can be an observer that writes the waiting away: the confirmation is answered and ignored", async () => {
    await waiting();
    krake.fail({ observe: "RUNNING" });
    expect(json((await confirm()).text).status.state).toBe("RUNNING");
    krake.observe("COMPLETED");
    expect(json((await confirm()).text).status.state).toBe("COMPLETED");
    expect(krake.application?.shutdownGracePeriod).toBeNull();
  });
});

describe("retry", () => {
  it("leads from DEGRADED to WAITING_FOR_CLEANING, and from no other state", async () => {
    await waiting({ state: "DEGRADED" });
    expect(krake.retry()).toBe(true);
    expect(krake.state).toBe("WAITING_FOR_CLEANING");
    krake.state = "RUNNING";
    expect(krake.retry()).toBe(false);
  });
});
