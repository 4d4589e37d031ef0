import { describe, expect, it } from "vitest";
import { type ManifestFile, parseManifests } from "./manifests.ts";

const file = (text: string, name = "baton.yaml"): ManifestFile => ({ name, directory: "/srv/conf", text });
const cluster = "kind: cluster\nname: harbor-a\ndriver: process\ndirectory: ./a\n";
const storage = `kind: storage
name: bucket
endpoint: http://127.0.0.1:9000
bucket: harbor
prefix: ledger/
credentials:
  control: { file: ../keys/control.json }
  data: { file: /etc/keys/data.json }
  dataByCluster: { harbor-b: { file: data-b.json } }
fence: { provider: minio, admin: { file: admin.json } }
`;
const database = `kind: database
name: books
engine: postgres
url: postgres://127.0.0.1:5432/books
group: owners
admin: { file: ../keys/postgres.json }
`;
const application = `kind: application
name: ledger
storage: bucket
workload: { command: [node, main.ts], workingDirectory: app }
readiness: { path: /ready }
`;

describe("parseManifests", () => {
  it("resolves the paths of a container engine's cluster, not those that are in its containers", () => {
    const engine = `kind: cluster
name: harbor-a
driver: docker
api: https://harbor.example:2376
tls: { ca: ca.pem, certificate: cert.pem, key: key.pem }
address: harbor.example
agent: ../dist/agent.cjs
registries: [{ server: registry.example, credentials: { file: login.json } }]
`;
    expect(parseManifests([file(engine)])).toMatchObject([
      {
        api: "https://harbor.example:2376",
        tls: { ca: "/srv/conf/ca.pem", certificate: "/srv/conf/cert.pem", key: "/srv/conf/key.pem" },
        agent: "/srv/dist/agent.cjs",
        registries: [{ server: "registry.example", credentials: { file: "/srv/conf/login.json" } }],
      },
    ]);
  });

  it("orders clusters, storages, databases, applications, each kind as given, over all files", () => {
    const files = [
      file(`${application}---\n${cluster}`),
      file(`${database}---\n${storage}---\n${cluster.replace("-a", "-b")}`),
    ];
    const names = parseManifests(files).map(({ name }) => name);
    expect(names).toEqual(["harbor-a", "harbor-b", "bucket", "books", "ledger"]);
  });

  it("resolves every relative path against the manifest's own folder", () => {
    const manifests = parseManifests([file([cluster, storage, database, application].join("---\n"))]);
    expect(manifests).toMatchObject([
      { directory: "/srv/conf/a" },
      {
        credentials: {
          control: { file: "/srv/keys/control.json" },
          data: { file: "/etc/keys/data.json" },
          dataByCluster: { "harbor-b": { file: "/srv/conf/data-b.json" } },
        },
        fence: { admin: { file: "/srv/conf/admin.json" } },
      },
      { admin: { file: "/srv/keys/postgres.json" } },
      { workload: { command: ["node", "main.ts"], workingDirectory: "/srv/conf/app" } },
    ]);
  });

  it("leaves a working directory out that the manifest leaves out", () => {
    const [manifest] = parseManifests([file(application.replace(", workingDirectory: app", ""))]);
    expect(manifest).not.toHaveProperty("workload.workingDirectory");
  });

  it("passes over empty documents and counts them", () => {
    expect(parseManifests([file(`---\n${cluster}---\n---\n`)])).toHaveLength(1);
    expect(() => parseManifests([file(`${cluster}---\n---\nkind: x\n`)])).toThrow("baton.yaml, document 3");
  });

  it("names file, document and every wrong field of every document, and what is allowed", () => {
    const wrong = `${cluster}color: red\n---\n${cluster.replace("harbor-a", "Harbor")}port: 1\n`;
    const missing = "kind: cluster\nname: b\n---\nkind: cluster\nname: c\ndriver: process\n";
    expect(() => parseManifests([file(wrong), file(missing, "b.yaml")])).toThrow(
      expect.objectContaining({
        code: "invalid-manifest",
        message: expect.toSatisfy((message: string) =>
          [
            'cannot read baton.yaml, document 1 (cluster "harbor-a"): unknown field "color" (allowed: kind, name, driver, directory)',
            'baton.yaml, document 2 (cluster "Harbor"): "name": must be a DNS label',
            'unknown field "port" (allowed:',
            'b.yaml, document 1 (cluster "b"): "driver":',
            'b.yaml, document 2 (cluster "c"): "directory":',
          ].every((part) => message.includes(part)),
        ),
      }),
    );
  });

  it.each([
    [
      "an unknown kind",
      "kind: ship\n",
      'document 1: unknown kind "ship" (allowed: cluster, storage, database, application)',
    ],
    ["no kind", "name: a\n", "document 1: no kind (allowed: cluster, storage, database, application)"],
    ["a list", "- kind: cluster\n", "document 1: no kind"],
    ["a kind of another type", "kind: [cluster]\n", 'unknown kind ["cluster"]'],
    ["a file without a manifest", "# nothing\n", "cannot read baton.yaml: there is no manifest in it"],
    ["what is not YAML", "kind: {a: [}\n", "document 1: it is not YAML: "],
    ["a key that stands twice", `${cluster}name: b\n`, "it is not YAML: Map keys must be unique"],
    ["an alias that leads nowhere", "kind: *here\n", "it is not YAML: Unresolved alias"],
    ["a number where a text must be", application.replace("[node,", "[1,"), '"workload.command[0]"'],
  ])("refuses %s", (_, text, message) => {
    expect(() => parseManifests([file(text)])).toThrow(message);
  });

  it("refuses aliases that multiply without bounds", () => {
    const rows = Array.from({ length: 9 }, (_, n) => `a${n + 1}: &a${n + 1} [${`*a${n},`.repeat(9)}]`);
    const bomb = ["kind: cluster", "a0: &a0 [x]", ...rows].join("\n");
    expect(() => parseManifests([file(bomb)])).toThrow("it is not YAML: Excessive alias count");
  });
});
