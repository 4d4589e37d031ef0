import { AppError, newPlacementId } from "@baton/protocol";
import { expect, it } from "vitest";
import { within } from "../deadline.ts";
import type { KubeClient, KubeObject } from "./kube-client.ts";
import { clusterLabel, placementLabel, podAnnotation, workloadAnnotation } from "./names.ts";
import { witnessPod } from "./witness-pod.ts";

/* Rule 3: only the node's word on that very container of that very pod counts, and everything else is unknown. */

const placement = newPlacementId();
const unavailable = new AppError("cluster-unavailable", "cannot: no answer");
const never = () => Promise.reject(new Error("nobody asked for that"));

const recorded = { name: "p", uid: "u1", container: "app", look: ["look"], port: 8_080, url: null };
const secret: KubeObject = {
  apiVersion: "v1",
  kind: "Secret",
  metadata: {
    name: `baton-${placement}`,
    labels: { [clusterLabel]: "harbor", [placementLabel]: placement },
    annotations: {
      [workloadAnnotation]: JSON.stringify({ apiVersion: "v1", kind: "Pod", name: "p" }),
      [podAnnotation]: JSON.stringify(recorded),
    },
  },
};

const podOf = (uid: string, statuses: readonly object[], phase = "Running"): KubeObject => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "p", uid },
  spec: { containers: [{ name: "app" }] },
  status: { phase, containerStatuses: statuses },
});
const app = (state: object) => ({ name: "app", restartCount: 0, state });

async function witness(pod: KubeObject | null | AppError, exec: KubeClient["exec"] = never) {
  const get: KubeClient["get"] = async ({ kind }) => {
    if (kind === "Secret") return secret;
    if (pod instanceof AppError) throw pod;
    return pod;
  };
  const client = { get, exec, list: never } as unknown as KubeClient;
  const place = { client, name: "harbor", namespace: "n" };
  return within(5_000, "look", (deadline) => witnessPod(place, placement, deadline), "look again");
}

it("says terminated for the node's word that the container ended", async () => {
  const ended = podOf("u1", [app({ terminated: { reason: "Error", exitCode: 137 } })], "Failed");
  expect(await witness(ended)).toMatchObject({ state: "terminated", agentAlive: false });
});

it.each([
  ["a pod that is gone", null],
  ["another pod of that name", podOf("u2", [app({ terminated: { exitCode: 0 } })])],
  ["a phase alone", podOf("u1", [], "Succeeded")],
  ["the phase Unknown", podOf("u1", [], "Unknown")],
  [
    "a node that lost sight of it",
    podOf("u1", [app({ terminated: { reason: "ContainerStatusUnknown", exitCode: 137 } })]),
  ],
  ["a container that waits", podOf("u1", [app({ waiting: { reason: "CrashLoopBackOff" } })])],
  ["the end of another container", podOf("u1", [{ ...app({ terminated: { exitCode: 0 } }), name: "other" }])],
])("fault case 3: says unknown for %s", async (_, pod) => {
  expect(await witness(pod)).toMatchObject({ state: "unknown" });
});

it("says unknown for what runs and cannot be looked into", async () => {
  const running = podOf("u1", [app({ running: {} })]);
  expect(await witness(running, () => Promise.reject(unavailable))).toMatchObject({ state: "unknown" });
  const mute = async () => ({ exitCode: 126, stdout: "", stderr: "" });
  expect(await witness(running, mute)).toMatchObject({ state: "unknown" });
});

it("says nothing where the API server does not answer", async () => {
  await expect(witness(unavailable)).rejects.toMatchObject({ code: "cluster-unavailable" });
});
