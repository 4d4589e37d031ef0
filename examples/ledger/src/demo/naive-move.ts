import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import { identify, isAlive, scanTree, signalProcess } from "@baton/process-tree";
import { cookieVariable } from "@baton/protocol";
import { startWriter } from "../writer.ts";
import type { Child } from "./child.ts";
import { readAgent } from "./end-placements.ts";
import { type Harbour, bucket, ledgerProgram, prefix } from "./harbour.ts";

/**
 * The moves that Baton exists to replace, done by hand and without it: `kill-then-start` is a hard kill; `start-before-stop` is a graceful stop
 * that comes too late.
 */
export type NaiveMove = "kill-then-start" | "start-before-stop";

export interface NaiveResult {
  readonly url: string;
  readonly unflushedAtStop: number;
  readonly stopSentAt: number;
  readonly exitedAt: number;
  readonly stopMs: number;
  readonly startMs: number;
  readonly steps: readonly { readonly name: string; readonly state: string; readonly ms: number }[];
  readonly child: Child;
}

export interface NaiveParams {
  readonly move: NaiveMove;
  readonly placement: string;
  readonly sourceUrl: string;
  readonly recordFile: string;
}

export async function moveNaively(harbour: Harbour, params: NaiveParams): Promise<NaiveResult> {
  const steps: { name: string; state: string; ms: number }[] = [];
  const timed = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    const began = performance.now();
    const value = await work();
    steps.push({ name, state: "done", ms: performance.now() - began });
    return value;
  };
  const stop = () =>
    timed(params.move === "kill-then-start" ? "kill" : "stop", () => stopSource(harbour, params));
  const start = () => timed("start", () => startByHand(harbour));
  if (params.move === "kill-then-start") {
    const stopped = await stop();
    const started = await start();
    return { ...stopped, ...started, stopMs: steps[0]?.ms ?? 0, startMs: steps[1]?.ms ?? 0, steps };
  }
  const started = await start();
  await timed("write on both", () => writeUntilFlushed(harbour, started.url, params.recordFile));
  const stopped = await stop();
  return { ...stopped, ...started, stopMs: steps[2]?.ms ?? 0, startMs: steps[0]?.ms ?? 0, steps };
}

async function stopSource(harbour: Harbour, { move, placement, sourceUrl }: NaiveParams) {
  const agent = await readAgent(join(harbour.directory, "harbor-a", "placements", placement));
  if (agent === null) throw new Error("cannot find the source's agent");
  const { members } = await scanTree({
    cookie: { name: cookieVariable, value: `${placement}:`, isPrefix: true },
    roots: [],
    exclude: [agent.pid],
    noNewPrivileges: true,
  });
  const stats = (await (await fetch(`${sourceUrl}/stats`)).json()) as { unflushed: number };
  const stopSentAt = Date.now();
  if (move === "kill-then-start") for (const member of members) await signalProcess(member, "SIGKILL");
  await signalProcess(agent, move === "kill-then-start" ? "SIGKILL" : "SIGTERM");
  for (const deadline = performance.now() + 20_000; await anyAlive([agent, ...members]); await delay(5))
    if (performance.now() > deadline) throw new Error("the source did not end");
  return { unflushedAtStop: stats.unflushed, stopSentAt, exitedAt: Date.now() };
}

async function anyAlive(
  processes: readonly NonNullable<Awaited<ReturnType<typeof identify>>>[],
): Promise<boolean> {
  return (await Promise.all(processes.map(isAlive))).includes(true);
}

/** The same program with the other cluster's key, asked of nobody. */
async function startByHand(harbour: Harbour): Promise<{ readonly url: string; readonly child: Child }> {
  const { accessKeyId, secretAccessKey } = harbour.keys["harbor-b"];
  let port = 0;
  const child = await harbour.startProgram({
    command: [process.execPath, ledgerProgram],
    environment: {
      PORT: "0",
      AWS_ENDPOINT_URL_S3: harbour.endpoint,
      AWS_REGION: "us-east-1",
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      BATON_BUCKET: bucket,
      BATON_PREFIX: prefix,
    },
    logFile: join(harbour.directory, "by-hand.log"),
    isReady: (line) => {
      const event = JSON.parse(line) as { event: string; port?: number };
      port = event.port ?? port;
      return event.event === "ready";
    },
  });
  return { url: `http://127.0.0.1:${port}`, child };
}

/** Clients reach the new one while others still use the old one: until the new one has written to the bucket. */
async function writeUntilFlushed(harbour: Harbour, url: string, recordFile: string): Promise<void> {
  const writer = startWriter({ route: () => Promise.resolve(url), recordFile });
  for (const deadline = performance.now() + 20_000; performance.now() < deadline; await delay(20)) {
    const { flushes } = (await (await fetch(`${url}/stats`)).json()) as { flushes: number };
    if (flushes > 0) break;
  }
  await writer.stop();
}
