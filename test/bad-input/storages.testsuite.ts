import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import type { ErrorCode, StorageManifest } from "@baton/protocol";
import { afterEach, describe, expect, it } from "vitest";
import type { Annex, AnnexKey } from "./annex.ts";
import { expectNothingChanges, expectScratchRemoved } from "./observe.ts";
import { expectOneLine, expectProblem } from "./refusal.ts";
import type { Stage } from "./stage.ts";

/** Part of every secret here that must never be shown. */
const secretWord = "hunter2";

interface WrongStorage {
  readonly title: string;
  readonly change: (annex: Annex) => Promise<Partial<StorageManifest>>;
  readonly code: ErrorCode;
  readonly words: readonly string[];
}

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
      // There is no list of storages: whoever wants to use the refused one is told.
      expectProblem(await api("PUT", "/v1/applications/skiff", { body: application }), "unknown-storage");
      const log = await readFile(join(harbour.directory, "orchestrator.log"), "utf8");
      expect(log).not.toContain(secretWord);
      for (const { secretAccessKey } of Object.values(annex.keys)) expect(log).not.toContain(secretAccessKey);
    });

    it.each(wrong)("$title is refused before anything is stored", async ({ change, code, words }) => {
      const { annex, api, baton } = at();
      const manifest = { ...annex.storage, ...(await change(annex)) };
      const answer = await api("PUT", "/v1/storages/quay", { body: manifest });
      const ended = await baton(["apply", "-f", "-"], JSON.stringify(manifest));
      expectProblem(answer, code, words);
      expectOneLine(ended, words);
      for (const secret of [secretWord, ...Object.values(annex.keys).map((key) => key.secretAccessKey)])
        expect(answer.text + ended.stderr).not.toContain(secret);
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
