import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { containerSchema, parseAs } from "@baton/protocol";
import { afterEach, expect, it } from "vitest";
import { type FakeEngine, startFakeEngine } from "../fixtures/fake-engine.ts";
import { openEngine } from "./engine.ts";
import { ensureImage, serverOf, userOf } from "./images.ts";

let fake: FakeEngine | undefined;
let directory: string | undefined;
afterEach(async () => {
  await fake?.close();
  fake = undefined;
  if (directory !== undefined) await rm(directory, { recursive: true });
  directory = undefined;
});

const containerOf = (image: string, more: object = {}) =>
  parseAs(containerSchema, { image, ...more }, "the container");

/** An engine that has no image, and says this when it is to pull one. */
async function pull(
  image: string,
  progress: string,
  more: object = {},
  registries = [] as { server: string }[],
) {
  const engine = (fake = await startFakeEngine((call) =>
    call.startsWith("GET") ? { status: 404, body: { message: "no such image" } } : { body: progress },
  ));
  directory = await mkdtemp(join(tmpdir(), "baton-images-"));
  const file = join(directory, "login.json");
  await writeFile(file, '{"username":"me","password":"hunter2"}');
  const logins = registries.map((one) => ({ ...one, credentials: { file } }));
  const place = { name: "quay", engine: openEngine({ api: engine.api }) };
  await ensureImage(place, containerOf(image, more), logins, AbortSignal.timeout(5_000));
  return engine;
}

it("pulls one tag only, and by digest", async () => {
  const { calls } = await pull("registry.example/team/app", '{"status":"done"}\n');
  expect(calls.at(-1)).toBe("POST /v1.41/images/create?fromImage=registry.example%2Fteam%2Fapp%3Alatest");
  await fake?.close();
  const digest = `registry.example:5000/app@sha256:${"a".repeat(64)}`;
  expect((await pull(digest, "")).calls.at(-1)).toContain(encodeURIComponent(digest));
});

it("shows credentials to their own registry only", async () => {
  const registries = [{ server: "other.example" }, { server: "registry.example:5000" }];
  const { headers } = await pull("registry.example:5000/app:1", "", {}, registries);
  const sent = Buffer.from(String(headers.at(-1)?.["x-registry-auth"]), "base64url").toString();
  expect(JSON.parse(sent)).toEqual({
    username: "me",
    password: "hunter2",
    serveraddress: "registry.example:5000",
  });
  await fake?.close();
  const another = await pull("elsewhere.example/app:1", "", {}, registries);
  expect(another.headers.at(-1)).not.toHaveProperty("x-registry-auth");
});

it("takes no pull for done that ended with an error, and says it without the password", async () => {
  const progress = '{"status":"pulling"}\n{"errorDetail":{},"error":"unauthorized\\nmore"}\n';
  const failed = pull("registry.example/app:1", progress, {}, [{ server: "registry.example" }]);
  await expect(failed).rejects.toMatchObject({ code: "cluster-unavailable" });
  await expect(failed).rejects.toThrow(/unauthorized; correct/);
  await expect(failed).rejects.not.toThrow(/hunter2/);
});

it("never pulls what it was told not to", async () => {
  await expect(pull("app:1", "", { pull: "never" })).rejects.toThrow('"pull" is never');
  expect(fake?.calls).toHaveLength(1);
});

it.each([
  ["app", "docker.io"],
  ["team/app:1", "docker.io"],
  ["localhost/app", "localhost"],
  ["registry.example/app", "registry.example"],
  ["registry:5000/app", "registry:5000"],
])("finds the registry of %s", (image, server) => {
  expect(serverOf(image)).toBe(server);
});

it("runs a container as the user it is told, else as the image's, which must be a number", () => {
  expect(userOf(containerOf("app", { user: "1000" }), "node")).toEqual({ uid: 1_000, gid: 1_000 });
  expect(userOf(containerOf("app"), "65532:7")).toEqual({ uid: 65_532, gid: 7 });
  expect(userOf(containerOf("app"), "")).toEqual({ uid: 0, gid: 0 });
  expect(() => userOf(containerOf("app"), "node")).toThrow('its user is "node"');
});
