import { inspect } from "node:util";
import { newOperationId } from "@baton/protocol";
import { beforeEach, describe, expect, it } from "vitest";
import { type KrakeConfirmations, createKrakeConfirmations } from "./krake-confirmations.ts";

// A confirmation counts for one stop only, and never before its trigger.

let krake: KrakeConfirmations;
beforeEach(() => {
  krake = createKrakeConfirmations({
    baseUrl: "http://here:8080/krake/",
    namespace: "system:admin",
    application: "demo",
  });
});

const put = async (body: string | undefined, to: { url?: string; method?: string; type?: string } = {}) => {
  const { url = krake.url, method = "PUT", type } = to;
  const headers: Record<string, string> = type === undefined ? {} : { "content-type": type };
  const answer = await krake.handle(
    new Request(url, { method, headers, ...(body !== undefined && { body }) }),
  );
  const text = await answer.text();
  expect(text).not.toContain(krake.token);
  return { code: answer.status, answer, body: JSON.parse(text) as { status: { state: string } & number } };
};
const valid = (more: object = {}) => JSON.stringify({ token: krake.token, ...more });
const armed = () => {
  const stop = krake.expect({ operation: newOperationId() });
  stop.arm();
  return stop;
};

describe("what the service is told", () => {
  it("is an address like Krake's, below the path of ours, and a token of 256 bits", () => {
    expect(krake.url).toBe(
      "http://here:8080/krake/kubernetes/namespaces/system%3Aadmin/applications/demo/shutdown",
    );
    expect(krake.token).toMatch(/^[\w-]{43}$/);
    expect(krake.environment).toEqual({ KRAKE_SHUTDOWN_URL: krake.url, KRAKE_SHUTDOWN_TOKEN: krake.token });
  });

  it("is never shown by accident", () => {
    for (const shown of [
      JSON.stringify(krake),
      inspect(krake, { depth: 5, showHidden: false }),
      inspect(krake, { showHidden: true, getters: false }),
    ])
      expect(shown).not.toContain(krake.token);
    expect({ ...krake }).not.toHaveProperty("token");
  });

  it("is another one for every service, and the given one after a restart of this side", () => {
    const options = { baseUrl: "http://here" };
    expect(createKrakeConfirmations(options).token).not.toBe(createKrakeConfirmations(options).token);
    expect(createKrakeConfirmations({ ...options, token: krake.token }).token).toBe(krake.token);
    expect(() => createKrakeConfirmations({ ...options, token: "short" })).toThrow("32 characters");
    expect(() => createKrakeConfirmations({ baseUrl: "here" })).toThrow("http://");
  });
});

describe("an answer", () => {
  it.each([
    ["another method", 405, valid, { method: "POST" }],
    [
      "another application",
      404,
      valid,
      { url: "http://here:8080/krake/kubernetes/namespaces/default/applications/demo/shutdown" },
    ],
    ["another path", 404, valid, { url: "http://here:8080/shutdown" }],
    ["no body", 415, () => undefined, {}],
    ["a body that is not JSON", 415, () => "token=1", {}],
    ["a list", 422, () => "[]", {}],
    ["a word", 422, () => '"token"', {}],
    ["null", 422, () => "null", {}],
    ["a token that is a number", 422, () => '{"token":1}', {}],
    ["another kind", 422, () => valid({ kind: "Complete" }), {}],
    ["another api", 422, () => valid({ api: "openstack" }), {}],
    ["no token", 401, () => "{}", {}],
    ["a null token", 401, () => '{"token":null}', {}],
    ["an empty token", 401, () => '{"token":""}', {}],
    ["a wrong token", 401, () => JSON.stringify({ token: "x".repeat(43) }), {}],
    ["a body without end", 413, () => valid({ more: "x".repeat(9_000) }), {}],
  ])("to %s is %i, and counts as nothing", async (_, code, body, to) => {
    const stop = armed();
    const seen = await put(body(), to);
    expect(seen.code).toBe(code);
    expect(seen.answer.headers.get("content-type")).toBe("application/problem+json");
    expect(seen.body.status).toBe(code);
    expect(stop.confirmedAt).toBeNull();
  });

  it("to another method names the right one", async () => {
    expect((await put(valid(), { method: "POST" })).answer.headers.get("allow")).toBe("PUT");
  });

  it.each([
    ["with kind and api", () => valid({ kind: "Shutdown", api: "kubernetes" }), {}],
    ["with unknown fields", () => valid({ more: 1 }), {}],
    ["of a form's type", valid, { type: "application/x-www-form-urlencoded" }],
    [
      "to the address with a plain colon",
      valid,
      { url: "http://h/krake/kubernetes/namespaces/system:admin/applications/demo/shutdown" },
    ],
  ])("to a confirmation %s is the application, ready", async (_, body, to) => {
    const stop = armed();
    const { code, answer, body: application } = await put(body(), to);
    expect(code).toBe(200);
    expect(answer.headers.get("content-type")).toBe("application/json");
    expect(application).toMatchObject({
      kind: "Application",
      metadata: { name: "demo" },
      status: { state: "READY_FOR_ACTION" },
    });
    expect(await stop.confirmed).toBe(stop.confirmedAt);
  });
});

describe("a confirmation", () => {
  it("counts once, and is answered in the same way when repeated", async () => {
    const stop = armed();
    await put(valid());
    const first = stop.confirmedAt;
    expect((await put(valid())).body.status.state).toBe("READY_FOR_ACTION");
    expect(stop.confirmedAt).toBe(first);
  });

  it("before anything was expected, or before the trigger, is not taken", async () => {
    expect((await put(valid())).body.status.state).toBe("RUNNING");
    const stop = krake.expect({ operation: newOperationId() });
    expect((await put(valid())).body.status.state).toBe("RUNNING");
    stop.arm();
    expect(stop.confirmedAt).toBeNull();
    expect((await put(valid())).body.status.state).toBe("READY_FOR_ACTION");
  });

  it("that is late counts for its own operation, whoever waits", async () => {
    const operation = newOperationId();
    const stop = krake.expect({ operation });
    stop.arm();
    stop.release();
    expect((await put(valid())).body.status.state).toBe("READY_FOR_ACTION");
    expect(krake.expect({ operation }).confirmedAt).not.toBeNull();
  });
});

describe("another operation", () => {
  const other = newOperationId();

  it("has to wait its turn", () => {
    const operation = newOperationId();
    const [left, right] = [krake.expect({ operation }), krake.expect({ operation })];
    left.release();
    left.release();
    expect(() => krake.expect({ operation: other, renewToken: true })).toThrow("another operation waits");
    right.release();
    expect(krake.expect({ operation: other, renewToken: true }).tiedBy).toBe("token");
  });

  it("is refused with a token that was used, which somebody from then may still hold", async () => {
    armed();
    await put(valid());
    expect(() => krake.expect({ operation: other })).toThrow("its token was used");
  });

  it("with a new token does not take the old one", async () => {
    armed();
    const old = valid();
    await put(old);
    const stop = krake.expect({ operation: other, renewToken: true });
    stop.arm();
    expect(JSON.parse(old)).not.toMatchObject({ token: krake.token });
    expect((await put(old)).code).toBe(401);
    expect(stop.confirmedAt).toBeNull();
    await put(valid());
    expect(stop).toMatchObject({ tiedBy: "token", confirmedAt: expect.any(String) as string });
  });

  it("with a reused token is tied by order only, and says so", async () => {
    expect(armed().tiedBy).toBe("token");
    await put(valid());
    const stop = krake.expect({ operation: other, reuseToken: true });
    expect(stop).toMatchObject({ tiedBy: "order", confirmedAt: null });
    expect((await put(valid())).body.status.state).toBe("RUNNING");
    stop.arm();
    await put(valid());
    expect(stop.confirmedAt).not.toBeNull();
  });
});
