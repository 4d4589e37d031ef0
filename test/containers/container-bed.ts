/**
 * Real containers for a test file:
 *
 *   const found = await findPodman();
 *   describe("…", { skip: found.missing !== null, meta: needsContainers(found) }, () => {
 *     const bed = useContainers(found);
 *     it("…", async () => {
 *       const container = await bed.run({ command: ["sleep", "60"] });
 */
import { chown, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll } from "vitest";
import type { NeededPart } from "../reporter/needed-part.ts";
import { type Container, openContainer } from "./container.ts";
import { type Images, buildImages } from "./images.ts";
import type { Found, Podman } from "./podman.ts";
import { removeLeftContainers, runLabel } from "./run-label.ts";

const fixtures = join(import.meta.dirname, "fixtures");
const agent = "/opt/baton/baton-agent";

export interface RunParams {
  /** `withNode` by default. */
  readonly image?: keyof Images;
  /** Which program is PID 1: tini with the agent below it, or the agent itself. `tini` by default. */
  readonly firstProcess?: "tini" | "agent";
  /** Of `baton-agent run`. */
  readonly options?: readonly string[];
  /** The application. The files of fixtures/ are in /app. */
  readonly command: readonly string[];
  /** Further options of `podman run`. */
  readonly podman?: readonly string[];
  /** `host`: this machine's loopback, for what a test serves there. `none` by default. */
  readonly network?: "none" | "host";
  /** Whose processes these are, root's by default. */
  readonly user?: number;
  /** An earlier container's. */
  readonly stateDirectory?: string;
  /** Instead of the agent: the container's whole command. */
  readonly entrypoint?: readonly string[];
}

export interface Pod {
  readonly id: string;
  run(params: RunParams): Promise<Container>;
}

export interface ContainerBed {
  /** Only after the first hook of the suite. */
  readonly images: Images;
  readonly podman: Podman;
  /** Starts a container, by default with a network of its own, loopback only. It is removed after the test, and killed after two minutes. */
  run(params: RunParams): Promise<Container>;
  /** Starts a pod whose containers see each other's processes and share a loopback. It is removed after the test. */
  pod(): Promise<Pod>;
  /** A directory for files to mount, removed after the suite. */
  directory(): Promise<string>;
  /** The arguments of `podman run` for a test that runs podman itself, with --rm. */
  attached(params: RunParams): Promise<readonly string[]>;
}

export const needsContainers = (found: Found): { readonly needs: NeededPart } => ({
  needs: { part: "containers", reason: found.missing ?? "they are there" },
});

/** Builds the images before the suite, and removes what a test started after it. */
export function useContainers(found: Found): ContainerBed {
  const ids = { container: new Set<string>(), pod: new Set<string>() };
  let directory = "";
  let images: Images | null = null;
  let label = "";
  const podman = (): Podman => {
    if (found.missing !== null) throw new Error(found.missing);
    return found.podman;
  };
  const remove = async (): Promise<void> => {
    const { container, pod } = ids;
    const forced = ["rm", "--force", "--ignore", "--time", "0"];
    if (container.size > 0) await podman().read([...forced, "--volumes", ...container]);
    container.clear();
    for (const id of pod) await podman().read(["pod", ...forced, id]);
    pod.clear();
  };

  beforeAll(async () => {
    if (found.missing !== null) return;
    await removeLeftContainers(found.podman);
    label = await runLabel();
    directory = await mkdtemp(join(tmpdir(), "baton-containers-"));
    images = await buildImages({ ...found, directory });
  }, 300_000);
  afterEach(remove, 60_000);
  afterAll(async () => {
    if (found.missing !== null) return;
    await remove();
    await rm(directory, { recursive: true, force: true });
  }, 60_000);

  const newStateDirectory = async (user: number): Promise<string> => {
    const made = await mkdtemp(join(directory, "state-"));
    await chown(made, user, user);
    return made;
  };
  const imagesOrThrow = (): Images => {
    if (images === null) throw new Error("no images: the suite has not begun");
    return images;
  };
  const argumentsOf = (params: RunParams, stateDirectory: string): readonly string[] => {
    const { image = "withNode", firstProcess = "tini", options = [], command, user = 0 } = params;
    const init = firstProcess === "tini" ? ["/opt/baton/tini", "-s", "--"] : [];
    const entrypoint = params.entrypoint ?? [...init, agent, "run", ...options, "--", ...command];
    const volumes = [`${fixtures}:/app:ro`, `${stateDirectory}:/var/lib/baton`];
    return [
      "--user",
      `${user}:${user}`,
      "--timeout",
      "120",
      "--label",
      label,
      ...volumes.flatMap((volume) => ["--volume", volume]),
      ...(params.podman ?? []),
      "--entrypoint",
      JSON.stringify(entrypoint),
      imagesOrThrow()[image],
    ];
  };
  const start = async (params: RunParams, where: readonly string[]): Promise<Container> => {
    const stateDirectory = params.stateDirectory ?? (await newStateDirectory(params.user ?? 0));
    await mkdir(stateDirectory, { recursive: true });
    const id = await podman().read(["run", "--detach", ...where, ...argumentsOf(params, stateDirectory)]);
    ids.container.add(id);
    return openContainer(podman(), id, stateDirectory);
  };

  return {
    get images() {
      return imagesOrThrow();
    },
    get podman() {
      return podman();
    },
    run: (params) => start(params, ["--network", params.network ?? "none"]),
    async pod() {
      const create = ["pod", "create", "--network", "none", "--share", "pid,net", "--label", label];
      const id = await podman().read(create);
      ids.pod.add(id);
      return { id, run: (params) => start(params, ["--pod", id]) };
    },
    directory: () => mkdtemp(join(directory, "files-")),
    attached: async (params) => [
      "run",
      "--rm",
      "--network",
      "none",
      ...argumentsOf(params, params.stateDirectory ?? (await newStateDirectory(params.user ?? 0))),
    ],
  };
}
