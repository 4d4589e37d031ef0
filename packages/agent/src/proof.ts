import { execFile } from "node:child_process";
import { stat } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { type TreeScan, openFiles } from "@baton/process-tree";
import type { Check, Hook } from "@baton/protocol";
import type { Application } from "./application.ts";
import { reasonOf } from "./log.ts";
import { type SocketProof, type StoreAddress, observeSockets } from "./socket-proof.ts";

/** What the tree held before it was told to let go, and whether it did. */
export interface Proof {
  /** Looks until everything passed or `endAt` (clock of `performance.now()`) has come. Never rejects: what fails is `unknown`. */
  check(endAt: number): Promise<readonly Check[]>;
}

const pollMs = 25;
/** How long a look is repeated once the tree is gone. The dead write no marker; what they sent may take as long as the network does. */
const patienceMs: Readonly<Record<Check["check"], number>> = {
  ports: 2_000,
  files: 2_000,
  sockets: Number.POSITIVE_INFINITY,
  marker: 0,
  flush: 0,
  export: 0,
};
/** The kernel stamps files with a clock that may be a tick behind. */
const tickMs = 20;

type Verdict = Pick<Check, "state" | "detail">;

interface Look {
  readonly check: Check["check"];
  readonly look: (endAt: number) => Promise<Verdict>;
}

/** To be called before the first signal: who is gone tells nothing of what it held. @throws when /proc cannot be trusted */
export async function beginProof(params: {
  readonly application: Application;
  readonly scan: Pick<TreeScan, "members" | "unreadable">;
  readonly hook: Hook;
  readonly store: StoreAddress | null;
  /** Seen earlier in the life of the tree; for one that ended before anybody asked. */
  readonly earlier: SocketProof | null;
}): Promise<Proof> {
  const { application, scan, hook, store, earlier } = params;
  const { dataDirectories: directories, marker } = hook;
  const { since, noNewPrivileges } = application.facts;
  const beganAt = Date.now();
  const exclude = [process.pid];
  const now = await observeSockets({ scan, store, since, noNewPrivileges });
  const sockets = now.hasSeen ? now : (earlier ?? now);

  const looks: Look[] = [{ check: "ports", look: () => sockets.listening() }];
  if (store !== null) looks.push({ check: "sockets", look: () => sockets.towardsStore() });
  if (marker !== null) looks.push({ check: "marker", look: () => markerAt(marker.file, beganAt) });
  if (directories.length > 0) {
    const tree = { directories, since, exclude, noNewPrivileges };
    looks.push({ check: "files", look: (endAt) => filesBelow({ ...tree, deadlineAt: endAt }) });
    looks.push({ check: "flush", look: (endAt) => flush(directories, endAt) });
  }

  return {
    async check(endAt) {
      const startedAt = performance.now();
      return Promise.all(
        looks.map(async ({ check, look }) => {
          const untilAt = Math.min(endAt, startedAt + patienceMs[check]);
          for (;;) {
            const seen = await look(endAt).catch((error: unknown): Verdict => {
              return { state: "unknown", detail: [reasonOf(error)] };
            });
            if (seen.state === "passed" || performance.now() + pollMs > untilAt) return { check, ...seen };
            await delay(pollMs);
          }
        }),
      );
    },
  };
}

async function filesBelow(options: Parameters<typeof openFiles>[0]): Promise<Verdict> {
  const { state, reasons } = await openFiles(options);
  return { state: stateOf(state), detail: [...reasons] };
}

const stateOf = (state: "free" | "held" | "unknown"): Check["state"] =>
  (({ free: "passed", held: "failed", unknown: "unknown" }) as const)[state];

async function markerAt(file: string, beganAt: number): Promise<Verdict> {
  const found = await stat(file).catch(() => null);
  if (found === null) return { state: "failed", detail: [`${file} is not there`] };
  if (found.mtimeMs + tickMs < beganAt)
    return { state: "failed", detail: [`${file} is of ${found.mtime.toISOString()}, before the stop`] };
  return { state: "passed", detail: [file] };
}

/** syncfs(2) of the file systems that hold the directories; Node has no call for it. */
async function flush(directories: readonly string[], endAt: number): Promise<Verdict> {
  const timeout = Math.max(1, Math.ceil(endAt - performance.now()));
  try {
    await promisify(execFile)("sync", ["-f", "--", ...directories], {
      timeout,
      env: { PATH: "/usr/bin:/bin" },
    });
    return { state: "passed", detail: [] };
  } catch (error) {
    return { state: "unknown", detail: [`the data directories could not be flushed: ${reasonOf(error)}`] };
  }
}
