import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { type StorageManifest, type StorageView, parseAs, storageViewSchema } from "@baton/protocol";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Annex, AnnexKey } from "./annex.ts";
import { type FakeStores, openFakeStores } from "./fake-stores.ts";
import { expectNothingChanges, expectScratchRemoved } from "./observe.ts";
import { expectOneLine, expectProblem } from "./refusal.ts";
import type { Stage } from "./stage.ts";
import { type WrongStorage, secretWord, wrongEndpoints } from "./wrong-endpoints.ts";

/** The credentials with one of them read from another file. */
const withFile = (
  { storage }: Annex,
  which: "control" | "data",
  file: string,
): Pick<StorageManifest, "credentials"> => ({
  credentials: { ...storage.credentials, dataByCluster: {}, [which]: { file } },
});

const withKey = (annex: Annex, which: "control" | "data", name: AnnexKey) =>
  withFile(annex, which, annex.secretOf(name));

async function withContent(annex: Annex, which: "control" | "data", content: string) {
  return withFile(annex, which, await annex.secret(`wrong-${which}.key.json`, content));
}

const wrong: readonly WrongStorage[] = [
  {
    title: "a bucket that does not exist",
    change: async () => ({ bucket: "no-such-bucket" }),
    code: "storage-bucket-missing",
    words: ['bucket "no-such-bucket"', "the bucket does not exist; create it or correct its name"],
  },
  ...(["control", "data"] as const).flatMap((which): readonly WrongStorage[] => [
    {
      title: `a ${which} key whose secret is wrong`,
      change: (annex) =>
        withContent(
          annex,
          which,
          JSON.stringify({ ...annex.keys[which], secretAccessKey: `${secretWord}-0123456789` }),
        ),
      code: "storage-credentials",
      words:
        which === "control"
          ? ["the secret does not belong to the access key; correct the secret"]
          : ["the application's key"],
    },
    {
      title: `a ${which} key that the store does not know`,
      change: (annex) =>
        withContent(
          annex,
          which,
          JSON.stringify({ accessKeyId: "STRANGER", secretAccessKey: `${secretWord}-0123456789` }),
        ),
      code: "storage-credentials",
      words:
        which === "control"
          ? ["the store does not know the access key; give a key of this store"]
          : ["the application's key"],
    },
    {
      title: `a ${which} key whose file is missing`,
      change: async (annex) => withFile(annex, which, annex.pathOf("no-such.key.json")),
      code: "secret-unavailable",
      words: ["cannot read the secret", "no-such.key.json"],
    },
    {
      title: `a ${which} key whose file is not JSON`,
      change: (annex) => withContent(annex, which, `${secretWord}: not JSON`),
      code: "secret-unavailable",
      words: ["it must be JSON of exactly accessKeyId and secretAccessKey"],
    },
    {
      title: `a ${which} key whose file has a field too many`,
      change: (annex) =>
        withContent(annex, which, JSON.stringify({ ...annex.keys[which], [secretWord]: secretWord })),
      code: "secret-unavailable",
      words: ["it must be JSON of exactly accessKeyId and secretAccessKey"],
    },
  ]),
  {
    title: "an endpoint at which nobody listens",
    change: async () => ({ endpoint: await unusedEndpoint() }),
    code: "storage-unreachable",
    words: ["http://127.0.0.1:"],
  },
  {
    title: "an endpoint that ignores conditional writes",
    change: async ({ deafEndpoint }) => ({ endpoint: deafEndpoint }),
    code: "storage-conditions",
    words: [
      'cannot use storage "quay"',
      "a second create-only write is refused",
      "a write with a stale If-Match is refused",
      "a write with If-Match of a missing key is refused",
      "use a store that honours conditional writes",
    ],
  },
  {
    title: "a data key that may write below .baton/",
    change: async (annex) => withKey(annex, "data", "greedy"),
    code: "storage-unprotected",
    words: ["the application's key cannot write below .baton/", "forbid the application's key to write"],
  },
  {
    title: "a data key of one cluster that may write below .baton/",
    change: async ({ storage: { credentials }, secretOf }) => ({
      credentials: { ...credentials, dataByCluster: { "harbor-b": { file: secretOf("greedy") } } },
    }),
    code: "storage-unprotected",
    words: ["the application's key cannot write below .baton/", "forbid the application's key to write"],
  },
  {
    title: "a data key that may not write below the prefix",
    change: async (annex) => withKey(annex, "data", "elsewhere"),
    code: "storage-credentials",
    words: ["correct the application's key, or allow it to write and read below its prefix"],
  },
];

export function testStorages(at: () => Stage): void {
  describe("a wrong storage", () => {
    expectNothingChanges(at);

    let fakes: FakeStores;
    beforeAll(async () => {
      fakes = await openFakeStores();
    });
    afterAll(() => fakes.close());

    afterEach(async () => {
      const { annex, api, harbour } = at();
      expectScratchRemoved(annex.log());
      const application = {
        kind: "application",
        name: "skiff",
        storage: "quay",
        workload: { command: ["/bin/true"] },
        readiness: { path: "/readyz" },
      };
      expectProblem(await api("GET", "/v1/storages/quay"), "unknown-storage", ["harbor"]);
      expectProblem(await api("PUT", "/v1/applications/skiff", { body: application }), "unknown-storage");
      const log = await readFile(join(harbour.directory, "orchestrator.log"), "utf8");
      expect(log).not.toContain(secretWord);
      for (const { secretAccessKey } of Object.values(annex.keys)) expect(log).not.toContain(secretAccessKey);
    });

    it.each([...wrong, ...wrongEndpoints])(
      "$title is refused before anything is stored",
      async ({ change, code, words }) => {
        const { annex, api, baton } = at();
        const manifest = { ...annex.storage, ...(await change(annex, fakes)) };
        const answer = await api("PUT", "/v1/storages/quay", { body: manifest });
        const ended = await baton(["apply", "-f", "-"], JSON.stringify(manifest));
        expectProblem(answer, code, words);
        expectOneLine(ended, words);
        for (const secret of [secretWord, ...Object.values(annex.keys).map((key) => key.secretAccessKey)])
          expect(answer.text + ended.stderr).not.toContain(secret);
      },
    );
  });

  describe("a storage", () => {
    expectNothingChanges(at);
    const manifest = (): StorageManifest => ({ ...at().annex.storage, name: "quay" });
    const view = async (): Promise<StorageView> =>
      parseAs(
        storageViewSchema,
        JSON.parse((await at().baton(["storage", "show", "quay", "--output", "json"])).stdout),
        "the view",
      );
    const add = async (change: Partial<StorageManifest> = {}): Promise<void> => {
      const added = await at().baton(
        ["storage", "add", "-f", "-"],
        JSON.stringify({ ...manifest(), ...change }),
      );
      expect(added).toEqual({ status: 0, stdout: "storage quay added\n", stderr: "" });
    };
    const remove = async (): Promise<void> => {
      const { annex, baton } = at();
      // A probe that is due may be at work meanwhile, in its own corner.
      const written = () => annex.log().filter(({ key }) => !/\.baton[/-]probe/.test(key)).length;
      const before = written();
      expect((await baton(["storage", "remove", "quay"])).status).toBe(0);
      // Neither its objects nor anything else in the bucket.
      expect(written()).toBe(before);
      expectProblem(await at().api("GET", "/v1/storages/quay"), "unknown-storage");
    };

    it("that names one endpoint for a cluster too is probed there once", async () => {
      const { endpoint } = manifest();
      await add({ clusters: { "harbor-b": { endpoint } } });
      const { fitness, probe, applications } = await view();
      expect({ fitness, applications }).toEqual({ fitness: "fit", applications: [] });
      expect(probe?.verdict?.endpoints).toHaveLength(1);
      await remove();
    });

    it("whose store goes away is shown as unfit with the reason, until it is probed well again", async () => {
      const { annex, baton } = at();
      await add();
      await annex.stop();
      try {
        expectOneLine(await baton(["storage", "probe", "quay"]), [annex.storage.endpoint, "ECONNREFUSED"]);
        expect(await view()).toMatchObject({
          fitness: "unfit",
          reason: expect.stringContaining("check the endpoint and the network") as string,
          probe: { verdict: null, error: { code: "storage-unreachable" } },
        });
        expect((await baton(["storage", "list"])).stdout).toMatch(/^quay +unfit /m);
      } finally {
        await annex.restart();
      }
      expect(await baton(["storage", "probe", "quay"])).toMatchObject({ status: 0, stderr: "" });
      expect(await view()).toMatchObject({ fitness: "fit", reason: null });
      await remove();
    });

    it("whose key can do too much since is unfit, and the probe says so with its status", async () => {
      const { annex, baton } = at();
      const file = await annex.secret("changing.key.json", JSON.stringify(annex.keys.data));
      await add(withFile(annex, "data", file));
      await annex.secret("changing.key.json", JSON.stringify(annex.keys.greedy));
      const probed = await baton(["storage", "probe", "quay"]);
      expect(probed.status).toBe(1);
      expect(probed.stdout).toContain("✖ not true: the application's key cannot write below .baton/");
      expect(probed.stderr).toMatch(
        /^baton: cannot use storage "quay": [^\n]*forbid the application's key to write[^\n]*\n$/,
      );
      expect(await view()).toMatchObject({ fitness: "unfit" });
      await remove();
    });

    it("is not rotated to keys that do not work, or while the old pair does", async () => {
      const { annex, baton } = at();
      const file = await annex.secret("changing.key.json", JSON.stringify(annex.keys.data));
      await add(withFile(annex, "data", file));
      const same = await baton(["storage", "rotate", "quay", "--old", annex.secretOf("data")]);
      expectOneLine(same, ["the old pair is still the one in", "put the new pair there first"]);
      const old = await baton(["storage", "rotate", "quay", "--old", annex.secretOf("dataB")]);
      expectOneLine(old, [
        `${annex.storage.endpoint} takes its writes below "quay/"`,
        "disable it at the store",
      ]);
      const none = await baton(["storage", "rotate", "quay", "--old", annex.pathOf("no-such.key.json")]);
      expectOneLine(none, ["cannot read the secret", "there is no such file"]);
      const wrongPair = { ...annex.keys.data, secretAccessKey: `${secretWord}-0123456789` };
      await annex.secret("changing.key.json", JSON.stringify(wrongPair));
      const broken = await baton(["storage", "rotate", "quay"]);
      expectOneLine(broken, ['cannot rotate the keys of storage "quay"', "leave the old pair enabled"]);
      for (const { stderr } of [same, old, none, broken]) {
        expect(stderr).not.toContain(secretWord);
        for (const { secretAccessKey } of Object.values(annex.keys))
          expect(stderr).not.toContain(secretAccessKey);
      }
      await remove();
    });

    it("in use is not removed", async () => {
      const words = ['cannot remove storage "harbor": application "ledger" has a placement on it'];
      expectProblem(await at().api("DELETE", "/v1/storages/harbor"), "in-use", words);
      expectOneLine(await at().baton(["storage", "remove", "harbor"]), words);
    });

    it("of an unknown name is named, with those that there are", async () => {
      for (const command of ["show", "probe", "rotate", "remove"])
        expectOneLine(await at().baton(["storage", command, "nosuch"]), [
          'cannot use storage "nosuch": there is none of this name (known:',
          "harbor",
        ]);
    });

    it("is not asked for in other words", async () => {
      const { api, baton } = at();
      const post = (path: string, body: unknown) => api("POST", `/v1/storages/harbor/${path}`, { body });
      expectProblem(await post("probe", { thorough: "yes" }), "invalid-request", ['"thorough"']);
      expectProblem(await post("probe", { deep: true }), "invalid-request", [
        "(allowed: thorough, inFlight)",
      ]);
      expectProblem(await post("probe", "thorough"), "invalid-request", ["the body is not JSON"]);
      const key = { accessKeyId: "K", secretAccessKey: secretWord };
      const rotated = await post("rotate", { old: key });
      expectProblem(rotated, "invalid-request", ["(allowed: file)"]);
      expect(rotated.text).not.toContain(secretWord);
      const cluster = { kind: "cluster", name: "harbor-c", driver: "process", directory: "/nowhere" };
      expectOneLine(await baton(["storage", "add", "-f", "-"], JSON.stringify(cluster)), [
        'cannot add cluster "harbor-c": only storages are added here',
      ]);
    });
  });
}

async function unusedEndpoint(): Promise<string> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("cannot find a free port");
  return `http://127.0.0.1:${address.port}`;
}
