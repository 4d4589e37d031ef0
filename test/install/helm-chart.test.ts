import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";

const chart = join(import.meta.dirname, "../../docker/helm/baton");
const run = promisify(execFile);
const helm = await run(join(import.meta.dirname, "../beds/helm"), ["path"]).then(
  ({ stdout }) => stdout.trim(),
  () => null,
);
// Its build takes longer than the build machine has for it.
const needs = { part: "helm", reason: "test/beds/helm install did not run", nowhere: true };

interface KubeObject {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly spec?: unknown;
}

const publicUrl = "publicUrl=https://baton.example:7420";

describe("the Helm chart", { skip: helm === null, meta: { needs } }, () => {
  /** @throws with helm's own words */
  async function render(...values: string[]): Promise<readonly KubeObject[]> {
    const args = ["template", "baton", chart, "--namespace", "ops", "--kube-version", "1.30.0"];
    const { stdout } = await run(helm ?? "", [...args, ...values.flatMap((value) => ["--set", value])]);
    return parseAllDocuments(stdout).map((document) => document.toJS() as KubeObject);
  }
  const kinds = (objects: readonly KubeObject[]): readonly string[] =>
    objects.map(({ kind }) => kind).toSorted();

  it("makes replicas that nobody leads, their address, a budget and a policy", async () => {
    const objects = await render(publicUrl);
    expect(kinds(objects)).toEqual([
      "Deployment",
      "NetworkPolicy",
      "PodDisruptionBudget",
      "Service",
      "ServiceAccount",
    ]);
    expect(objects.find(({ kind }) => kind === "Deployment")?.spec).toMatchObject({
      replicas: 2,
      strategy: { rollingUpdate: { maxUnavailable: 0 } },
      template: {
        spec: {
          automountServiceAccountToken: false,
          topologySpreadConstraints: [{ maxSkew: 1 }, { maxSkew: 1 }],
          securityContext: { runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } },
          containers: [
            {
              readinessProbe: { httpGet: { path: "/readyz", scheme: "HTTPS" } },
              livenessProbe: { httpGet: { path: "/livez", scheme: "HTTPS" } },
              securityContext: {
                allowPrivilegeEscalation: false,
                readOnlyRootFilesystem: true,
                capabilities: { drop: ["ALL"] },
              },
            },
          ],
        },
      },
    });
    expect(JSON.stringify(objects)).not.toContain("PLAIN_HTTP");
  });

  it("selects its own pods alone, the same ones everywhere", async () => {
    const selector = { "app.kubernetes.io/name": "baton", "app.kubernetes.io/instance": "baton" };
    const objects = await render(publicUrl);
    const spec = (of: string): unknown => objects.find(({ kind }) => kind === of)?.spec;
    expect(spec("Service")).toMatchObject({ selector });
    for (const kind of ["Deployment", "PodDisruptionBudget"])
      expect(spec(kind)).toMatchObject({ selector: { matchLabels: selector } });
    expect(spec("NetworkPolicy")).toMatchObject({ podSelector: { matchLabels: selector } });
  });

  it("leaves out what is turned off, and binds a role where applications run", async () => {
    const off = ["podDisruptionBudget.enabled=false", "networkPolicy.enabled=false", "replicas=1"];
    const objects = await render(publicUrl, ...off, "managedNamespaces={shop,books}");
    expect(kinds(objects)).toEqual(["Deployment", "RoleBinding", "RoleBinding", "Service", "ServiceAccount"]);
    const bound = objects.filter(({ kind }) => kind === "RoleBinding");
    expect(bound.map(({ metadata }) => metadata.namespace)).toEqual(["shop", "books"]);
    expect(bound[0]).toMatchObject({
      roleRef: { kind: "Role", name: "baton" },
      subjects: [{ kind: "ServiceAccount", name: "baton", namespace: "ops" }],
    });
  });

  it("is watched by Prometheus with a token, and trusts the certificate's authority", async () => {
    const objects = await render(
      publicUrl,
      "serviceMonitor.enabled=true",
      "serviceMonitor.tokenSecret.name=viewer",
    );
    expect(objects.find(({ kind }) => kind === "ServiceMonitor")?.spec).toMatchObject({
      endpoints: [
        {
          scheme: "https",
          authorization: { credentials: { name: "viewer", key: "token" } },
          tlsConfig: { ca: { secret: { name: "baton-tls", key: "ca.crt" } }, serverName: "baton.example" },
        },
      ],
    });
  });

  it("speaks plain HTTP only where that is said", async () => {
    const [deployment] = (await render(publicUrl, "secrets.tls=")).filter(
      ({ kind }) => kind === "Deployment",
    );
    const text = JSON.stringify(deployment);
    expect(text).toContain('{"name":"BATON_PLAIN_HTTP","value":"yes"}');
    expect(text).toContain('"scheme":"HTTP"');
    expect(text).not.toContain("/run/tls");
  });

  it("takes every secret by its name, and gives its files to nobody else", async () => {
    const mount = ["secrets.mounts[0].secret=keys", "secrets.mounts[0].path=/run/keys"];
    const [deployment] = (await render(publicUrl, ...mount)).filter(({ kind }) => kind === "Deployment");
    expect(deployment?.spec).toMatchObject({
      template: {
        spec: {
          volumes: expect.arrayContaining(
            ["baton", "baton-tls", "keys"].map((secretName) =>
              expect.objectContaining({ secret: { secretName, defaultMode: 0o440 } }),
            ),
          ),
        },
      },
    });
  });

  it.each([
    ["no address", [], "/publicUrl"],
    ["an address that is none", ["publicUrl=baton.example"], "/publicUrl"],
    [
      "a value that it does not know",
      [publicUrl, "replica=3"],
      "additional properties 'replica' not allowed",
    ],
    ["a secret in place of its name", [publicUrl, "secrets.password=x"], "additional properties 'password'"],
    ["no replica", [publicUrl, "replicas=0"], "/replicas"],
    [
      "a monitor without a token",
      [publicUrl, "serviceMonitor.enabled=true"],
      "/serviceMonitor/tokenSecret/name",
    ],
    [
      "a budget that keeps every node from being drained",
      [publicUrl, "replicas=1"],
      "must be less than replicas",
    ],
  ] as const)("refuses %s in words", async (_, values, words) => {
    await expect(render(...values)).rejects.toThrow(words);
  });
});
