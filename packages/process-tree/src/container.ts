import { readProcFile } from "./proc-file.ts";

/** As Docker, containerd, CRI-O and Podman name their containers, and ECS on Fargate. */
const containerId = /[0-9a-f]{64}|[0-9a-f]{32}-\d+/;
/** Controllers whose hierarchy is asked first, the last before all: "" is the unified one. Others come after them. */
const trusted = ["pids", "memory", "name=systemd", ""];

/**
 * A name for the container of a process, the same for all that are in it, whatever their user; null when the process
 * is gone. It is a container id, or the path of a neighbour where our own cgroup namespace hides more (`/../abc`);
 * "/" for our own container in that case, and for what is in none. Readable for any user.
 * @throws Error when it may not be read or has not the form of cgroups(7)
 */
export function containerOf(pid: number | "self"): string | null {
  const text = readProcFile(`/proc/${pid}/cgroup`);
  return text === null ? null : parseContainer(text);
}

/**
 * Whether two processes are in one container; null when one of them is gone. Nothing in the container of process 1
 * or in our own is for us to signal: `sameContainer(pid, 1) === false && sameContainer(pid, "self") === false`.
 * @throws as `containerOf`
 */
export function sameContainer(one: number | "self", other: number | "self"): boolean | null {
  const [first, second] = [containerOf(one), containerOf(other)];
  return first === null || second === null ? null : first === second;
}

/** The container in the content of /proc/PID/cgroup. */
export function parseContainer(text: string): string {
  const hierarchies = text
    .replace(/\n$/, "")
    .split("\n")
    .map((line) => {
      const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
      if (controllers === undefined || path === undefined)
        throw new Error(`cannot read a process's cgroup: a line is ${JSON.stringify(line.slice(0, 200))}`);
      return { rank: trusted.indexOf(controllers), name: containerIn(path) };
    })
    .toSorted((one, other) => other.rank - one.rank);
  return hierarchies.find(({ name }) => name !== "/")?.name ?? "/";
}

function containerIn(path: string): string {
  // A container may make groups of its own below, and run containers: the deepest id is the process's.
  const parts = path
    .replace(/ \(deleted\)$/, "")
    .split("/")
    .slice(1);
  const id = parts.map((part) => containerId.exec(part)?.[0]).findLast((found) => found !== undefined);
  if (id !== undefined) return id;
  // `/../abc/below`: as many levels up as our own container is deep there, so as deep is the other's.
  const ups = parts.findIndex((part) => part !== "..");
  if (ups === 0) return "/";
  return `/${parts.slice(0, ups < 0 ? parts.length : 2 * ups).join("/")}`;
}
