import { join } from "node:path";
import type { ErrorCode } from "@baton/protocol";
import { describe, expect, it } from "vitest";
import { expectNothingChanges } from "./observe.ts";
import { expectOneLine, expectProblem } from "./refusal.ts";
import type { Stage } from "./stage.ts";

const application = {
  kind: "application",
  name: "skiff",
  storage: "harbor",
  workload: { command: ["/bin/true"] },
  readiness: { path: "/readyz" },
};
const cluster = { kind: "cluster", name: "harbor-c", driver: "process", directory: "/nowhere/harbor-c" };
const deploymentOf = (containers: readonly object[], replicas = 1) => ({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name: "skiff" },
  spec: { replicas, template: { spec: { containers } } },
});

interface WrongManifest {
  readonly title: string;
  readonly manifest: object;
  readonly path: string;
  readonly words: readonly string[];
  /** Said by the command only, which finds out the kind by itself. */
  readonly commandWords?: readonly string[];
}

const wrong: readonly WrongManifest[] = [
  {
    title: "an unknown field is named, with those that are allowed",
    manifest: { ...application, replicas: 3 },
    path: "/v1/applications/skiff",
    words: [
      'unknown field "replicas"',
      "allowed: kind, name, storage, storageUse, database, workload, container, kubernetes, hook, stop, readiness, verify, traffic",
    ],
  },
  {
    title: "an unknown field further in is named by its path",
    manifest: { ...application, hook: { graceMs: 100, graceSeconds: 1 } },
    path: "/v1/applications/skiff",
    words: ['"hook": unknown field "graceSeconds"', "allowed: preset, drain, quiesce, signal"],
  },
  {
    title: "a value of the wrong type is named by its path, and not repeated",
    manifest: { ...application, workload: { command: "hunter2" } },
    path: "/v1/applications/skiff",
    words: ['"workload.command"', "expected array"],
  },
  {
    title: "a missing field is named",
    manifest: { ...application, storage: undefined },
    path: "/v1/applications/skiff",
    words: ['"storage": is missing'],
  },
  {
    title: "a driver that is not there is refused with those that are",
    manifest: { ...cluster, driver: "nomad" },
    path: "/v1/clusters/harbor-c",
    words: ['"driver"', '"process"', '"podman"', '"docker"', '"kubernetes"'],
  },
  {
    title: "an engine at which nobody answers is no cluster",
    manifest: {
      ...cluster,
      directory: undefined,
      driver: "podman",
      api: "unix:///nowhere/api.sock",
      address: "127.0.0.1",
    },
    path: "/v1/clusters/harbor-c",
    words: ["/nowhere/api.sock", "does not answer (ENOENT)"],
  },
  {
    title: "an engine without TLS on a network is refused, for whoever reaches it has the machine",
    manifest: {
      ...cluster,
      directory: undefined,
      driver: "docker",
      api: "http://127.0.0.1:2375",
      address: "127.0.0.1",
    },
    path: "/v1/clusters/harbor-c",
    words: ['"api"', "https://HOST:PORT"],
  },
  {
    title: "a kubeconfig that is not there is no cluster",
    manifest: {
      ...cluster,
      directory: undefined,
      driver: "kubernetes",
      kubeconfig: "/nowhere/config",
      namespace: "harbor",
    },
    path: "/v1/clusters/harbor-c",
    words: ["/nowhere/config", "cannot be read (ENOENT)", 'correct "kubeconfig"'],
  },
  {
    title: "a workload with two containers of which none is named is refused",
    manifest: { ...application, kubernetes: { objects: [deploymentOf([{ name: "one" }, { name: "two" }])] } },
    path: "/v1/applications/skiff",
    words: ['"kubernetes"', 'must say which "container" is the application'],
  },
  {
    title: "a container that its workload does not have is refused",
    manifest: {
      ...application,
      kubernetes: { objects: [deploymentOf([{ name: "one" }])], container: "two" },
    },
    path: "/v1/applications/skiff",
    words: ['"kubernetes"', "must name a container that its workload has"],
  },
  {
    title: "a workload of two replicas is refused, since only one may write",
    manifest: { ...application, kubernetes: { objects: [deploymentOf([{ name: "one" }], 2)] } },
    path: "/v1/applications/skiff",
    words: ['"kubernetes.objects"', "must have one replica"],
  },
  {
    title: "a directory in which nothing can be made is no cluster",
    manifest: { ...cluster, directory: "/dev/null/harbor-c" },
    path: "/v1/clusters/harbor-c",
    words: ["/dev/null/harbor-c"],
  },
  {
    title: "a manifest without a kind is refused with the kinds",
    manifest: { ...cluster, kind: undefined },
    path: "/v1/clusters/harbor-c",
    words: ["kind"],
    commandWords: ["no kind (allowed: cluster, storage, database, application)"],
  },
  {
    title: "a manifest of an unknown kind is refused with the kinds",
    manifest: { ...cluster, kind: "fleet" },
    path: "/v1/clusters/harbor-c",
    words: ["kind"],
    commandWords: ['unknown kind "fleet" (allowed: cluster, storage, database, application)'],
  },
  {
    title: "a storage that nobody declared is no storage for an application",
    manifest: { ...application, storage: "nosuch" },
    path: "/v1/applications/skiff",
    words: ['storage "nosuch"', "known: "],
  },
  {
    title: "an unknown way of telling the route is refused with those that are",
    manifest: { ...application, traffic: [{ plugin: "pigeon" }] },
    path: "/v1/applications/skiff",
    words: ['"traffic[0].plugin"', '"webhook"', '"command"', '"dns"'],
  },
  {
    title: "a program that is not there is no receiver of the route",
    manifest: { ...application, traffic: [{ plugin: "command", command: ["/nowhere/route"] }] },
    path: "/v1/applications/skiff",
    words: ["/nowhere/route is not there"],
  },
  {
    title: "a webhook's secret that cannot be read is named",
    manifest: {
      ...application,
      traffic: [{ plugin: "webhook", url: "http://127.0.0.1:1/", secret: { file: "/nowhere/secret.json" } }],
    },
    path: "/v1/applications/skiff",
    words: ["/nowhere/secret.json", "there is no such file"],
  },
  {
    title: "a control prefix is no application's prefix",
    manifest: {
      kind: "storage",
      name: "quay",
      endpoint: "http://127.0.0.1:1",
      bucket: "annex",
      prefix: ".baton/quay/",
      credentials: { control: { file: "/nowhere" }, data: { file: "/nowhere" } },
    },
    path: "/v1/storages/quay",
    words: ['"prefix"', 'not below ".baton/"'],
  },
  {
    title: "a key in an endpoint's URL is refused, and not repeated",
    manifest: {
      kind: "storage",
      name: "quay",
      endpoint: "http://admin:hunter2@127.0.0.1:1",
      bucket: "annex",
      prefix: "quay/",
      credentials: { control: { file: "/nowhere" }, data: { file: "/nowhere" } },
    },
    path: "/v1/storages/quay",
    words: ['"endpoint"', "must not carry a user name, a password"],
  },
];
/** Not every refusal of a manifest is one of its form. */
const codes: Readonly<Record<string, ErrorCode>> = {
  "a storage that nobody declared is no storage for an application": "unknown-storage",
  "an engine at which nobody answers is no cluster": "cluster-unavailable",
  "a kubeconfig that is not there is no cluster": "cluster-unavailable",
  "a directory in which nothing can be made is no cluster": "cluster-unavailable",
  "a program that is not there is no receiver of the route": "traffic-unusable",
  "a webhook's secret that cannot be read is named": "secret-unavailable",
};

export function testManifests(at: () => Stage): void {
  describe("a wrong manifest", () => {
    expectNothingChanges(at);

    it.each(wrong)("$title", async ({ title, manifest, path, words, commandWords = [] }) => {
      const detail = expectProblem(
        await at().api("PUT", path, { body: manifest }),
        codes[title] ?? "invalid-manifest",
        words,
      );
      const ended = await at().baton(["apply", "-f", "-"], JSON.stringify(manifest));
      expectOneLine(ended, [...words, ...commandWords]);
      expect(detail + ended.stderr).not.toContain("hunter2");
    });

    it("a manifest that is not JSON is refused by HTTP, and none of it is repeated", async () => {
      const answer = await at().api("PUT", "/v1/applications/skiff", { body: "name: hunter2" });
      expectProblem(answer, "invalid-manifest", ["the application manifest", "the body is not JSON"]);
      expect(answer.text).not.toContain("hunter2");
    });

    it.each([
      ["what is not YAML", "kind: cluster\nname: [harbor-c\n", ["document 1", "it is not YAML"]],
      ["an alias that leads nowhere", "kind: *nothing\n", ["document 1", "it is not YAML"]],
      ["nothing", "# later\n", ["there is no manifest in it"]],
      ["a list", "- kind: cluster\n", ["no kind (allowed: cluster, storage, database, application)"]],
    ])("%s is refused as a file", async (_what, file, words) => {
      expectOneLine(await at().baton(["apply", "-f", "-"], file), ["standard input", ...words]);
    });

    it("a file that is not there is refused by its path", async () => {
      const file = at().annex.pathOf("nothing.yaml");
      expectOneLine(await at().baton(["apply", "-f", file]), [file, "there is no such file"]);
    });

    it("the first document is not applied when the second is wrong", async () => {
      const good = { ...cluster, directory: join(at().harbour.directory, "harbor-c") };
      const files = [good, { ...application, replicas: 3 }]
        .map((each) => JSON.stringify(each))
        .join("\n---\n");
      expectOneLine(await at().baton(["apply", "-f", "-"], files), [
        'document 2 (application "skiff")',
        'unknown field "replicas"',
      ]);
    });

    it("all that is wrong is told at once", async () => {
      const files = [
        { ...cluster, driver: "nomad" },
        { ...application, replicas: 3 },
      ].map((each) => JSON.stringify(each));
      expectOneLine(await at().baton(["apply", "-f", "-"], files.join("\n---\n")), [
        'document 1 (cluster "harbor-c")',
        '"driver"',
        'document 2 (application "skiff")',
        'unknown field "replicas"',
      ]);
    });

    it("a cluster and a storage that are in use do not become other ones", async () => {
      const moved = { ...cluster, name: "harbor-a", directory: join(at().harbour.directory, "harbor-c") };
      const answer = await at().api("PUT", "/v1/clusters/harbor-a", { body: moved });
      expectProblem(answer, "in-use", ['cannot change cluster "harbor-a"', "apply it under another name"]);
      expectOneLine(await at().baton(["apply", "-f", "-"], JSON.stringify(moved)), [
        'cannot change cluster "harbor-a"',
        "apply it under another name",
      ]);
      const other = { ...at().annex.storage, name: "harbor" };
      const refused = await at().api("PUT", "/v1/storages/harbor", { body: other });
      expectProblem(refused, "in-use", ['cannot change storage "harbor"', "apply it under another name"]);
    });
  });
}
