/** One handover of storage between a source that is caught in the middle of its writes and goes on later, and a target. */
import { setTimeout as delay } from "node:timers/promises";
import { join } from "node:path";
import { readStat } from "@baton/process-tree";
import { type AccessKey, newPlacementId } from "@baton/protocol";
import { type ObjectStore, openObjectStore } from "@baton/storage";
import { openBucket } from "@baton/storage/bucket";
import { type Door, fenceCredentials, identityOf } from "@baton/storage/fence";
import { type RunBed, type RunningAgent, until } from "../agent/run-bed.ts";
import { type DelayingProxy, openDelayingProxy } from "./delaying-proxy.ts";
import { openLaggingEndpoint } from "./lagging-endpoint.ts";
import type { StoreBed } from "./store-bed.ts";

/** Where a lane was when it was caught, as the writer itself saw it. */
export type Moment = "between requests" | "after the head" | "within the body" | "before the answer";

export interface Outcome {
  readonly caught: readonly Moment[];
  /** Versions that came after the target had begun and are not the target's. */
  readonly stale: readonly string[];
}

export interface Handover {
  /**
   * `stopped`: agent and application get SIGSTOP, and SIGCONT after the target's first write. `cut`: nothing passes between application and
   * store until then. `killed`: the same, and meanwhile both die.
   */
  readonly source: "stopped" | "cut" | "killed";
  /** Where the source is caught: at random, or while at least one of its requests is in its body. */
  readonly at: "any moment" | "a body";
  /** What stands for the fence; null for none. */
  readonly fence: { readonly settleMs: number; readonly doors: "all" | "first only" } | null;
  /** The application's second endpoint knows nothing of disabled keys. */
  readonly lagging?: boolean;
}

const writer = join(import.meta.dirname, "fixtures/slow-writer.ts");
const lanes = 2;
const timeoutMs = 30_000;
const moments: Readonly<Record<string, Moment>> = {
  head: "after the head",
  part: "within the body",
  whole: "before the answer",
  answer: "between requests",
};

/** So few are begun at once: a busy machine catches nobody in time, and those that are caught need nothing of it. */
const begin = createGate(4);

export async function openTwoWriters(bed: StoreBed, run: RunBed["run"]) {
  const { region, ifMatch } = bed;
  const bucket = await bed.makeBucket({ versioned: true });
  const bound = { bucket, prefix: "w/" };
  const identities = bed.openIdentities(bound);
  await identities.prepare({ timeoutMs });
  const inventory = openBucket({ endpoint: bed.endpoints[0], region, bucket, accessKey: bed.root });
  const open = (endpoint: string, accessKey: AccessKey) =>
    openObjectStore({ endpoint, region, bucket, accessKey, ifMatch });
  const issue = async () => {
    const identity = identityOf(bound, newPlacementId(), 1);
    return { identity, accessKey: await identities.issue({ identity, timeoutMs }) };
  };
  const versionsBelow = async (prefix: string): Promise<Map<string, string>> => {
    const found = new Map<string, string>();
    const limit = { prefix, pageTimeoutMs: timeoutMs, deadlineMs: 2 * timeoutMs };
    for await (const { entries } of inventory.listVersions(limit))
      for (const { key, versionId, etag } of entries) found.set(`${key} ${versionId}`, etag);
    return found;
  };

  return {
    /** @throws what the fence throws, and then the target has not begun */
    async handOver({ source, at, fence, lagging = false }: Handover): Promise<Outcome> {
      const { identity, accessKey } = await begin(issue);
      const prefix = `w/${identity}/`;
      const keys = Array.from({ length: 4 }, (_, n) => `${prefix}${n}`);
      const closing: { close(): unknown }[] = [];
      const own = <T extends { close(): unknown }>(opened: T): T => {
        closing.push(opened);
        return opened;
      };
      try {
        const [first, second] = bed.endpoints;
        const stores = [
          first,
          lagging ? own(await openLaggingEndpoint(second, (await issue()).accessKey)).endpoint : second,
        ];
        const proxies: DelayingProxy[] = [];
        if (source !== "stopped")
          for (const store of stores) proxies.push(own(await openDelayingProxy(store)));
        const endpoints = source === "stopped" ? stores : proxies.map(({ endpoint }) => endpoint);

        const settings = { endpoints, bucket, region, accessKey, keys, lanes };
        const pace = { parts: 6, partBytes: 4_096, partMs: 50 };
        const { application, caught } = await begin(async () => {
          const started = await run({
            command: [process.execPath, writer],
            env: { WRITER: JSON.stringify({ ...settings, ...pace }) },
          });
          const followed = followWriter(started);
          await followed.answered(2, 0);
          if (at === "any moment") await delay(Math.random() * 400);
          else await followed.inBody();
          if (source === "stopped") await followed.stop();
          for (const proxy of proxies) proxy.cut();
          return { application: followed, caught: followed.moments() };
        });
        if (source === "killed") {
          // What the application had to send in this request is in the network by then.
          await delay(pace.parts * pace.partMs);
          application.kill();
        }

        if (fence !== null) {
          const doors: Door[] = stores
            .slice(0, fence.doors === "all" ? 2 : 1)
            .map((endpoint) => ({ endpoint, store: own(open(endpoint, accessKey)) }));
          await fenceCredentials({
            identities,
            identity,
            doors,
            prefix,
            settleMs: fence.settleMs,
            deadlineMs: fence.settleMs + (lagging && fence.doors === "all" ? 5_000 : 60_000),
            abortUploads: async () => ({ aborted: 0, complete: true }),
            takeInventory: async () => ({ objects: 0, bytes: 0, digest: "" }),
          });
        }

        const before = await versionsBelow(prefix);
        const target: ObjectStore = own(open(first, (await issue()).accessKey));
        const written = new Set<string>();
        const write = async (key: string): Promise<void> => {
          const body = JSON.stringify({ writer: "target", key, sequence: written.size });
          const result = await target.put({ key, body, timeoutMs });
          if (result.kind === "stored") written.add(result.etag);
        };
        await write(keys[0] ?? "");

        const since = application.output().length;
        if (source === "stopped") application.continue();
        await Promise.all(proxies.map((proxy) => proxy.mend()));
        if (source !== "killed") await application.answered(3, since);
        for (const key of keys) await write(key);

        const stale = [...(await versionsBelow(prefix))].flatMap(([version, etag]) =>
          before.has(version) || written.has(etag) ? [] : [version],
        );
        if (source !== "killed") application.kill();
        return { caught, stale };
      } finally {
        for (const opened of closing) await opened.close();
      }
    },
    close(): void {
      inventory.close();
      identities.close();
    },
  };
}

function createGate(places: number) {
  const waiting: (() => void)[] = [];
  let free = places;
  return async <T>(act: () => Promise<T>): Promise<T> => {
    if (free > 0) free -= 1;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await act();
    } finally {
      const next = waiting.shift();
      if (next === undefined) free += 1;
      else next();
    }
  };
}

function followWriter(agent: RunningAgent) {
  const lines = (from: number) =>
    agent
      .output()
      .slice(from)
      .matchAll(/^(head|part|whole|answer) (\d+) .*$/gm);
  const pid = (): number => {
    const found = /^pid (\d+)$/m.exec(agent.output())?.[1];
    if (found === undefined) throw new Error(`the writer did not say its pid: ${agent.output()}`);
    return Number(found);
  };
  const both = (signal: NodeJS.Signals): void => {
    // The application first: a parent that lives sees its child's end.
    process.kill(pid(), signal);
    agent.signal(signal);
  };
  const momentsNow = (): Moment[] => {
    const last = Array<Moment>(lanes).fill("between requests");
    for (const [, what, lane] of lines(0)) last[Number(lane)] = moments[what ?? ""] ?? "between requests";
    return last;
  };
  return {
    output: () => agent.output(),
    /** Until every lane has had so many answers since then. */
    answered: (times: number, from: number): Promise<void> =>
      until(`${times} answers a lane`, () => {
        if (agent.child.exitCode !== null) throw new Error(`the agent ended: ${agent.output()}`);
        const counts = Array<number>(lanes).fill(0);
        for (const [, what, lane] of lines(from)) if (what === "answer") counts[Number(lane)]! += 1;
        return counts.every((count) => count >= times);
      }),
    inBody: (): Promise<void> =>
      until("a request in its body", () => momentsNow().includes("within the body")),
    async stop(): Promise<void> {
      both("SIGSTOP");
      const pids = [pid(), agent.child.pid ?? 0];
      await until("both are stopped", async () => {
        const stats = await Promise.all(pids.map((each) => readStat(each)));
        return stats.every((stat) => stat?.state === "T");
      });
      // What they said before it is still in the pipe.
      await delay(50);
    },
    continue: () => both("SIGCONT"),
    kill: () => both("SIGKILL"),
    moments: momentsNow,
  };
}
