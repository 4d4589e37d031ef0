import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { access, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { runBed } from "../containers/podman.ts";

const run = promisify(execFile);
const kubectl = join(process.env["TESTBED_CACHE"] ?? "/var/cache/baton-testbed", "kube/bin/kubectl");
const rbacFile = join(import.meta.dirname, "../../docker/kubernetes/rbac.yaml");

/** Null where there are clusters to be had. */
export async function whyNoKube(): Promise<string | null> {
  if (process.getuid?.() !== 0) return "the tests run as an ordinary user";
  return access(kubectl).then(
    () => null,
    () => "test/beds/kube is not installed",
  );
}

export interface SurveyBed {
  readonly namespace: string;
  readonly secondNamespace: string;
  /** Of a service account that has what docker/kubernetes/rbac.yaml gives it in the first namespace, and nothing else. */
  readonly kubeconfig: string;
  /** As the cluster's administrator. */
  kubectl(...args: readonly string[]): Promise<string>;
  /** Makes these objects, or changes them. */
  create(...objects: readonly object[]): Promise<void>;
  end(): Promise<void>;
}

/** Two namespaces of one cluster, which is started where it is not up, and then ended again. */
export async function openSurveyBed(): Promise<SurveyBed> {
  const wasUp = (await runBed(["kube", "status"], 30_000)).split("\n").some((line) => /^a\s+up\b/.test(line));
  const admin = (await runBed(["kube", "up", "a"], 120_000)).split("\n").at(-1) ?? "";
  const directory = await mkdtemp(join(tmpdir(), "baton-survey-"));
  const namespace = `survey-${randomBytes(4).toString("hex")}`;
  const secondNamespace = `${namespace}-b`;
  const asAdmin = async (...args: readonly string[]): Promise<string> =>
    (await run(kubectl, ["--kubeconfig", admin, ...args], { timeout: 60_000 })).stdout;
  const apply = async (text: string): Promise<void> => {
    const file = join(directory, `${randomBytes(4).toString("hex")}.yaml`);
    await writeFile(file, text);
    await asAdmin("apply", "--filename", file);
  };
  for (const one of [namespace, secondNamespace]) await asAdmin("create", "namespace", one);
  const rbac = (await readFile(rbacFile, "utf8"))
    .replaceAll("namespace: applications", `namespace: ${namespace}`)
    .replaceAll("baton-looks", `baton-looks-${namespace}`);
  await apply(rbac);
  const kubeconfig = join(directory, "kubeconfig");
  await writeFile(kubeconfig, JSON.stringify(await asServiceAccount(asAdmin, namespace)));
  return {
    namespace,
    secondNamespace,
    kubeconfig,
    kubectl: asAdmin,
    create: (...items) => apply(JSON.stringify({ apiVersion: "v1", kind: "List", items })),
    end: async () => {
      const looks = `baton-looks-${namespace}`;
      await asAdmin("delete", "--wait=false", "namespace", namespace, secondNamespace);
      await asAdmin("delete", "clusterrole,clusterrolebinding", looks);
      await rm(directory, { recursive: true, force: true });
      if (!wasUp) await runBed(["kube", "down", "a"], 120_000);
    },
  };
}

type Kubectl = (...args: readonly string[]) => Promise<string>;

/** The administrator's kubeconfig with the account's token in the place of his own. */
async function asServiceAccount(asAdmin: Kubectl, namespace: string): Promise<object> {
  const config = JSON.parse(await asAdmin("config", "view", "--raw", "--output", "json")) as {
    readonly clusters: readonly { readonly name: string }[];
  };
  const name = await poll(() =>
    asAdmin(
      "--namespace",
      namespace,
      "get",
      "serviceaccount",
      "baton",
      "--output",
      "jsonpath={.secrets[0].name}",
    ),
  );
  const token = await poll(() =>
    asAdmin("--namespace", namespace, "get", "secret", name, "--output", "jsonpath={.data.token}"),
  );
  return {
    ...config,
    users: [{ name: "baton", user: { token: Buffer.from(token, "base64").toString() } }],
    contexts: [{ name: "baton", context: { cluster: config.clusters[0]?.name, user: "baton" } }],
    "current-context": "baton",
  };
}

/** Until it says something: the controller makes tokens a little later. */
async function poll(ask: () => Promise<string>): Promise<string> {
  const until = performance.now() + 30_000;
  for (;;) {
    const said = await ask();
    if (said !== "") return said;
    if (performance.now() > until) throw new Error("no token was made within 30 s");
  }
}
