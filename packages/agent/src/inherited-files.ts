import { closeSync, readFileSync, readdirSync } from "node:fs";

const closeOnExec = 0o2_000_000;

/**
 * Closes what whoever started the agent left open beyond the three streams, so that the application does not get it. Node marks descriptors up to
 * the first gap after 15 as closed on exec, and every one that it opens itself: any other is somebody else's.
 */
export function closeInheritedFiles(): void {
  for (const name of descriptors()) {
    const number = Number(name);
    if (number > 2 && isInherited(name)) closeSync(number);
  }
}

/** Without /proc the agent has better words for it, a little later. */
function descriptors(): readonly string[] {
  try {
    return readdirSync("/proc/self/fd");
  } catch {
    return [];
  }
}

/** False for that of the directory itself, which is closed by now. */
function isInherited(name: string): boolean {
  try {
    const [, flags] = /^flags:\s*([0-7]+)/m.exec(readFileSync(`/proc/self/fdinfo/${name}`, "utf8")) ?? [];
    return flags !== undefined && (Number.parseInt(flags, 8) & closeOnExec) === 0;
  } catch {
    return false;
  }
}
