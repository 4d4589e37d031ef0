import type { ProcessStat } from "./process-stat.ts";

const MOST = 20;

/** `process 12 (redis-server)`. The process chooses its name, so what would break a line is left out. */
export const nameProcess = ({ pid, comm }: Pick<ProcessStat, "pid" | "comm">): string =>
  `process ${pid} (${comm.replaceAll(/\p{Cc}/gu, "?")})`;

/** Reasons for a person: each once, and 20 at most, of which the last says how many there are besides. */
export function tellReasons(reasons: Iterable<string>): readonly string[] {
  const all = [...new Set(reasons)];
  return all.length <= MOST
    ? all
    : [...all.slice(0, MOST - 1), `and ${all.length - MOST + 1} more like these`];
}
