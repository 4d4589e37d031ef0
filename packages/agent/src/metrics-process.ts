import { readFileSync, readdirSync } from "node:fs";
import { readStat } from "@baton/process-tree";
import type { Metric } from "./metrics-text.ts";

const startedAt = Date.now() / 1_000 - process.uptime();

/** The agent's own process, by the names that Prometheus' clients agree on. */
export function processMetrics(): Metric[] {
  const { user, system } = process.cpuUsage();
  return [
    {
      name: "process_cpu_seconds_total",
      type: "counter",
      help: "Total user and system CPU time spent in seconds.",
      samples: [{ value: (user + system) / 1e6 }],
    },
    {
      name: "process_start_time_seconds",
      type: "gauge",
      help: "Start time of the process since unix epoch in seconds.",
      samples: [{ value: startedAt }],
    },
    {
      name: "process_resident_memory_bytes",
      type: "gauge",
      help: "Resident memory size in bytes.",
      samples: [{ value: process.memoryUsage.rss() }],
    },
    {
      name: "process_open_fds",
      type: "gauge",
      help: "Number of open file descriptors.",
      // Without the one that lists them.
      samples: [{ value: readdirSync("/proc/self/fd").length - 1 }],
    },
  ];
}

/** Dead processes that nobody reaped, below PID 1 and below us. None where the kernel does not list children. */
export async function zombieMetrics(): Promise<Metric[]> {
  const parents = [
    { parent: "agent", pid: process.pid },
    ...(process.pid === 1 ? [] : [{ parent: "init", pid: 1 }]),
  ];
  const samples = await Promise.all(
    parents.map(async ({ parent, pid }) => {
      const value = await countZombies(pid).catch(() => null);
      return value === null ? [] : [{ labels: { parent }, value }];
    }),
  );
  return [
    {
      name: "baton_agent_zombies",
      type: "gauge",
      help: "Dead processes that their parent, the agent or PID 1, has not reaped.",
      samples: samples.flat(),
    },
  ];
}

/** Children that are zombies; cheap, since only these are looked at. */
export async function countZombies(parent: number): Promise<number> {
  const children = readFileSync(`/proc/${parent}/task/${parent}/children`, "utf8").split(" ").filter(Boolean);
  const stats = await Promise.all(children.map((pid) => readStat(Number(pid)).catch(() => null)));
  return stats.filter((stat) => stat?.state === "Z" && stat.threads <= 1).length;
}
