/** The clusters of test/beds/kube, and one namespace of each for a suite. */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { type Found, findPodman, runBed } from "../containers/podman.ts";
import type { NeededPart } from "../reporter/needed-part.ts";

const kubectlProgram = join(process.env["TESTBED_CACHE"] ?? "/var/cache/baton-testbed", "kube/bin/kubectl");

type Podman = Extract<Found, { readonly missing: null }>;
export type FoundKube = { readonly missing: null; readonly podman: Podman } | { readonly missing: string };

/** Whether clusters can be had on this machine; never throws. */
export async function findKube(): Promise<FoundKube> {
  const podman = await findPodman();
  if (podman.missing !== null) return podman;
  try {
    await promisify(execFile)(kubectlProgram, ["version", "--client"], { timeout: 30_000 });
    return { missing: null, podman };
  } catch {
    return { missing: "test/beds/kube is not installed" };
  }
}

export const needsKube = ({ missing }: FoundKube): { readonly needs: NeededPart } => ({
  needs: { part: "kube", reason: missing ?? "" },
});

export interface KubeCluster {
  readonly name: string;
  readonly kubeconfig: string;
  readonly namespace: string;
  /** Where host ports answer. */
  readonly address: string;
  /** This machine, as the cluster's pods reach it. */
  readonly outside: string;
  /** In the suite's namespace; standard output without its last line break. @throws with what it said */
  kubectl(args: readonly string[]): Promise<string>;
  /** As JSON; null when it is not there. */
  see(kind: string, name: string): Promise<KubeSeen | null>;
  /** Puts an image of `containers env` there. */
  load(image: string): Promise<void>;
  /** The kernel's end of a container: nothing in it hears of it. */
  killContainer(pod: string): Promise<void>;
  down(): Promise<void>;
}

export interface KubeSeen {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly deletionTimestamp?: string;
  };
  readonly data?: Readonly<Record<string, string>>;
  readonly status?: {
    readonly containerStatuses?: readonly { readonly containerID?: string; readonly restartCount: number }[];
  };
}

/** Brings the cluster up, if it is not, and makes a namespace of the suite's own. */
export async function startKube({ podman }: { readonly podman: Podman }, name: string): Promise<KubeCluster> {
  const wasUp = new RegExp(`^${name} +up`, "m").test(await runBed(["kube", "status"], 30_000));
  const kubeconfig = (await runBed(["kube", "up", name], 120_000)).trim().split("\n").at(-1) ?? "";
  const status = await runBed(["kube", "status"], 30_000);
  const [, server = "", outside = ""] =
    new RegExp(`^${name} +up.*https://([\\d.]+):\\d+ +([\\d.]+)`, "m").exec(status) ?? [];
  const namespace = `t${randomBytes(4).toString("hex")}`;
  const kubectl = async (args: readonly string[]): Promise<string> => {
    const whole = ["--kubeconfig", kubeconfig, "--namespace", namespace, ...args];
    const { stdout } = await promisify(execFile)(kubectlProgram, whole, {
      timeout: 60_000,
      maxBuffer: 16_777_216,
    });
    return stdout.trimEnd();
  };
  await kubectl(["create", "namespace", namespace]);
  const see = async (kind: string, object: string): Promise<KubeSeen | null> => {
    const found = await kubectl(["get", kind, object, "--ignore-not-found", "--output", "json"]);
    return found === "" ? null : (JSON.parse(found) as KubeSeen);
  };
  return {
    name,
    kubeconfig,
    namespace,
    address: server,
    outside,
    kubectl,
    see,
    async load(image) {
      const there = await runBed(["kube", "enter", name, "docker", "images", "--quiet", image], 60_000);
      if (there !== "") return;
      const directory = await mkdtemp(join(tmpdir(), "baton-image-"));
      try {
        const archive = join(directory, "image.tar");
        await podman.podman.read(["save", "--quiet", "--output", archive, image], { timeoutMs: 120_000 });
        await runBed(["kube", "load", name, archive], 180_000);
      } finally {
        await rm(directory, { recursive: true, force: true });
      }
    },
    async killContainer(pod) {
      const seen = await see("pod", pod);
      const id = seen?.status?.containerStatuses?.[0]?.containerID?.replace("docker://", "") ?? "";
      await runBed(["kube", "enter", name, "docker", "kill", "--signal", "KILL", id], 60_000);
    },
    async down() {
      if (!wasUp) return void (await runBed(["kube", "down", name], 120_000));
      // Nobody sees the end of what is left here.
      const pods = await kubectl(["get", "pods", "--output", "name"]);
      await kubectl(["delete", "namespace", namespace, "--wait=false"]);
      for (const pod of pods.split("\n").filter(Boolean))
        await kubectl(["patch", pod, "--type=merge", "--patch", '{"metadata":{"finalizers":null}}']).catch(
          () => {},
        );
    },
  };
}
