import { afterEach, describe, expect, it } from "vitest";
import { type FakeAnswer, type FakeEngine, podmanVersion, startFakeEngine } from "../fixtures/fake-engine.ts";
import { openEngine } from "./engine.ts";

let fake: FakeEngine | undefined;
afterEach(async () => {
  await fake?.close();
  fake = undefined;
});

const ask = async (answer: (call: string) => FakeAnswer, version?: unknown) => {
  fake = await startFakeEngine(answer, version);
  const request = {
    method: "GET",
    path: "/images/json",
    what: "look",
    signal: AbortSignal.timeout(5_000),
  } as const;
  return { engine: openEngine({ api: fake.api }), request, fake };
};

describe("an engine's API", () => {
  it.each([
    ["1.41", "1.24", "v1.41"],
    ["1.54", "1.24", "v1.41"],
    ["1.54", "1.44", "v1.44"],
  ])("is spoken as of %s, where %s is the oldest, in version %s", async (newest, oldest, spoken) => {
    const { engine, request, fake } = await ask(() => ({ body: [] }), {
      ...podmanVersion,
      ApiVersion: newest,
      MinAPIVersion: oldest,
    });
    await engine.call(request);
    await engine.call(request);
    expect(fake.calls).toEqual([`GET /${spoken}/images/json`, `GET /${spoken}/images/json`]);
  });

  it("is told whose it is by the parts that it names", async () => {
    const { engine } = await ask(() => ({}), { ...podmanVersion, Components: [{ Name: "Engine" }] });
    expect(await engine.kind(AbortSignal.timeout(5_000))).toBe("docker");
    await fake?.close();
    fake = await startFakeEngine(() => ({}));
    expect(await openEngine({ api: fake.api }).kind(AbortSignal.timeout(5_000))).toBe("podman");
  });

  it.each([
    ["too old a one", { ...podmanVersion, ApiVersion: "1.40" }, "speaks API 1.40"],
    ["something else", { hello: "world" }, "is no container engine"],
    ["no JSON", "<html>", "is no JSON"],
  ])("is not spoken with %s", async (_, version, words) => {
    const { engine, request } = await ask(() => ({}), version);
    const call = engine.call(request);
    await expect(call).rejects.toMatchObject({ code: "cluster-unavailable" });
    await expect(call).rejects.toThrow(words);
  });

  it("has no answer where nobody listens", async () => {
    const { engine, request } = await ask(() => ({}));
    await fake?.close();
    fake = undefined;
    const call = engine.call(request);
    await expect(call).rejects.toMatchObject({ code: "cluster-unavailable" });
    await expect(call).rejects.toThrow("does not answer");
  });

  it("answers with a failure in the first line of its words, unless that status is expected", async () => {
    const { engine, request } = await ask(() => ({ status: 500, body: { message: "no space\nstack" } }));
    const call = engine.call(request);
    await expect(call).rejects.toMatchObject({ code: "cluster-unavailable" });
    await expect(call).rejects.toThrow(/cannot look: .* said 500: no space$/);
    expect((await engine.call({ ...request, expect: [500] })).status).toBe(500);
  });

  it("ends a call with the caller's own reason", async () => {
    const { engine, request } = await ask(() => ({ body: [] }));
    const reason = new Error("enough");
    await expect(engine.call({ ...request, signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });
});
