import { readFile } from "node:fs/promises";

/**
 * The container of a process by its cgroup: the longest path of /proc/PID/cgroup, relative to the reader's namespace ("/../abc"). Anybody may
 * read it. Null when the process is gone.
 */
export async function containerOf(pid: number | "self"): Promise<string | null> {
  let content: string;
  try {
    content = await readFile(`/proc/${pid}/cgroup`, "utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : "";
    if (code === "ENOENT" || code === "ESRCH") return null;
    throw error;
  }
  const paths = content
    .split("\n")
    .map((line) => line.split(":").slice(2).join(":"))
    .filter((path) => path !== "");
  return paths.reduce((longest, path) => (path.length > longest.length ? path : longest), "");
}
