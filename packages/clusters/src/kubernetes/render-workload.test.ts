import { kubernetesSchema, newPlacementId, parseAs } from "@baton/protocol";
import { describe, expect, it } from "vitest";
import type { PlacementSpec } from "../cluster.port.ts";
import { createPlacementSpec } from "../cluster.testsuite.ts";
import { applicationOf, renderOthers, renderWorkload } from "./render-workload.ts";

const pod = {
  terminationGracePeriodSeconds: 90,
  containers: [
    {
      name: "app",
      image: "app:1",
      command: ["own"],
      args: ["x"],
      env: [{ name: "A", value: "b" }],
      ports: [{ containerPort: 9_000, hostPort: 9_100 }],
      volumeMounts: [{ name: "v", mountPath: "/v" }],
    },
    { name: "metrics", image: "metrics:1" },
  ],
  volumes: [{ name: "v", emptyDir: {} }],
};
const metadata = { name: "shop", labels: { tier: "back" }, finalizers: ["theirs/one"] };
const deployment = {
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata,
  spec: {
    selector: { matchLabels: { app: "shop" } },
    template: { metadata: { labels: { app: "shop" } }, spec: pod },
  },
};
const service = {
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "shop", labels: { a: "b" } },
  spec: {},
};

const render = async (objects: readonly object[], more: object = { container: "app" }) => {
  const kubernetes = parseAs(kubernetesSchema, { objects, ...more }, "the objects");
  const spec: PlacementSpec = { ...(await createPlacementSpec()), kubernetes };
  const params = {
    cluster: "east",
    namespace: "n",
    spec,
    specDigest: "sha256:1",
    agentConfigMap: "baton-agent-1",
  };
  const application = applicationOf(spec);
  return {
    placement: spec.placement,
    application,
    workload: renderWorkload(params, application) as never as typeof deployment,
    others: renderOthers(params, application),
  };
};

describe("a workload of the user", () => {
  it("is named and marked for its placement, with one replica that is replaced and never doubled", async () => {
    const { workload, placement } = await render([service, deployment]);
    const labels = {
      "baton.dev/cluster": "east",
      "baton.dev/placement": placement,
      "baton.dev/application": "ledger",
    };
    expect(workload).toMatchObject({
      kind: "Deployment",
      metadata: {
        name: `shop-${placement.slice(-8)}`,
        namespace: "n",
        labels: { tier: "back", ...labels },
        annotations: { "baton.dev/spec": "sha256:1" },
      },
      spec: {
        replicas: 1,
        strategy: { type: "Recreate" },
        selector: { matchLabels: { app: "shop", "baton.dev/placement": placement } },
        template: { metadata: { labels: { app: "shop", ...labels }, finalizers: ["baton.dev/witness"] } },
      },
    });
  });

  it("runs the agent in the application's container, and leaves everything else there as it is", async () => {
    const { workload, placement } = await render([deployment]);
    const { containers, volumes, ...rest } = workload.spec.template.spec;
    expect(rest).toEqual({ terminationGracePeriodSeconds: 90 });
    expect(containers[1]).toEqual(pod.containers[1]);
    expect(containers[0]).toMatchObject({
      name: "app",
      image: "app:1",
      command: ["node", "/opt/baton/baton-agent.cjs", "run", "--config", "/etc/baton/agent.json"],
      env: [
        { name: "A", value: "b" },
        { name: "BATON_POD_UID", valueFrom: { fieldRef: { fieldPath: "metadata.uid" } } },
        { name: "BATON_SLOT", value: "$(BATON_POD_UID)/app" },
      ],
      ports: [{ containerPort: 9_000, hostPort: 9_100 }, { containerPort: 7_310 }],
      readinessProbe: { httpGet: { path: "/readyz", port: 7_310 } },
      livenessProbe: { httpGet: { path: "/livez", port: 7_310 } },
      volumeMounts: [{ name: "v" }, { mountPath: "/etc/baton" }, { mountPath: "/var/lib/baton" }, {}],
    });
    expect(containers[0]).not.toHaveProperty("args");
    expect(volumes).toMatchObject([
      { name: "v" },
      { secret: { secretName: `baton-${placement}` } },
      { emptyDir: {} },
      { configMap: { name: "baton-agent-1" } },
    ]);
  });

  it("has the agent of its image where it says how that is called", async () => {
    const { workload } = await render([deployment], { container: "app", agent: ["/agent"] });
    expect(workload.spec.template.spec.containers[0]?.command?.slice(0, 2)).toEqual(["/agent", "run"]);
  });

  it("has the time that the longest stop needs, and the agent is told so", async () => {
    const { application } = await render([deployment]);
    expect(application.settings).toMatchObject({ graceSeconds: 90, config: { platformGraceMs: 90_000 } });
    const short = await render([
      { ...deployment, spec: { template: { spec: { containers: [{ name: "app" }] } } } },
    ]);
    expect(short.application.settings.graceSeconds).toBe(30);
  });

  it("is asked for its readiness at the port that its container names, or at the one that was said", async () => {
    expect((await render([deployment])).application.settings.config.applicationPort).toBe(9_000);
    const said = await render([deployment], { container: "app", port: 9_001 });
    expect(said.application.settings.config.applicationPort).toBe(9_001);
  });

  it("that is a pod is started again by its node, and kept until its end was seen", async () => {
    const { workload } = await render([{ apiVersion: "v1", kind: "Pod", metadata, spec: pod }]);
    expect(workload.metadata.finalizers).toEqual(["theirs/one", "baton.dev/witness"]);
    expect(workload.spec).toMatchObject({ restartPolicy: "Always" });
  });

  it.each(["shareProcessNamespace", "hostPID"])("must not say %s", async (field) => {
    const shared = { apiVersion: "v1", kind: "Pod", metadata, spec: { ...pod, [field]: true } };
    await expect(render([shared])).rejects.toMatchObject({ code: "invalid-request" });
  });
});

describe("what stands beside the workload", () => {
  it("keeps its name, and is marked as the application's", async () => {
    const { others } = await render([service, deployment]);
    expect(others).toEqual([
      {
        ...service,
        metadata: { name: "shop", namespace: "n", labels: { a: "b", "baton.dev/application": "ledger" } },
      },
    ]);
  });
});

describe("an application with a container only", () => {
  it("becomes a pod of it", async () => {
    const spec: PlacementSpec = {
      ...(await createPlacementSpec(newPlacementId())),
      container: {
        image: "app:1",
        pull: "never",
        port: 9_000,
        user: "7:8",
        memoryBytes: 64_000_000,
        cpus: 0.5,
      },
    };
    const params = { cluster: "east", namespace: "n", spec, specDigest: "d", agentConfigMap: null };
    expect(renderWorkload(params, applicationOf(spec))).toMatchObject({
      kind: "Pod",
      metadata: { name: `ledger-${spec.placement.slice(-8)}` },
      spec: {
        restartPolicy: "Always",
        containers: [
          {
            image: "app:1",
            imagePullPolicy: "Never",
            securityContext: { runAsUser: 7, runAsGroup: 8 },
            resources: { limits: { memory: "64000000", cpu: "500m" } },
          },
        ],
      },
    });
  });

  it("or without any says what is missing", async () => {
    const spec = await createPlacementSpec();
    expect(() => applicationOf(spec)).toThrow('add "kubernetes" with its objects');
  });
});
