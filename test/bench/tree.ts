import { mkdtemp, readFile } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { end, fixture, printed, procBytes, settled, start, withBundle } from "./agent-bundle.ts";
import { type Figure, median, ratioFigure, valueFigure } from "./figure.ts";

const bench = "tree";
const defaultRuns = 5;
const many = 5_000;
const few = 50;
const stopLimitMs = 60_000;

/**
 * The agent's stop of a tree, from the request on its local socket until it answers with the receipt, against a bare loop of kill and wait that was
 * given all process ids and proves nothing. One of each in turn.
 */
export async function benchTree(runs: number = defaultRuns): Promise<readonly Figure[]> {
  const proven: number[] = [];
  const bare: number[] = [];
  const peaks: number[] = [];
  const smallPeaks: number[] = [];
  await withBundle(async ({ bundle, directory }) => {
    for (let run = 0; run < runs; run += 1) {
      bare.push(await endBarely(many));
      const { ms, peak } = await stopByAgent(bundle, directory, many);
      proven.push(ms);
      peaks.push(peak);
      smallPeaks.push((await stopByAgent(bundle, directory, few)).peak);
    }
  });
  return [
    ratioFigure({
      bench,
      figure: `verified stop of ${many} processes, median`,
      value: median(proven),
      unit: "ms",
      reference: median(bare),
      atMost: 1.5,
    }),
    ratioFigure({
      bench,
      figure: `peak memory, against a stop of ${few}`,
      value: (median(peaks) ?? Number.NaN) / 1e6,
      unit: "MB",
      reference: (median(smallPeaks) ?? Number.NaN) / 1e6,
      atMost: 1.25,
    }),
    valueFigure({
      bench,
      figure: "slowest verified stop",
      value: Math.max(...proven),
      unit: "ms",
      atMost: null,
    }),
  ];
}

/** In ms. */
async function endBarely(count: number): Promise<number> {
  const tree = start(["perl", fixture("many.pl"), String(count)]);
  try {
    await printed(tree, "ready");
    const children = await readFile(`/proc/${tree.pid}/task/${tree.pid}/children`, "utf8");
    const loop = spawn("perl", [fixture("end-many.pl")], { stdio: ["pipe", "pipe", "inherit"] });
    loop.stdin.end(`${children.trim()} ${tree.pid}\n`);
    return Number(await text(loop.stdout));
  } finally {
    await end(tree);
  }
}

async function stopByAgent(bundle: string, directory: string, count: number) {
  const state = await mkdtemp(join(directory, "s-"));
  const options = ["--listen", "none", "--state-directory", state, "--", "perl", fixture("many.pl")];
  const agent = start([process.execPath, bundle, "run", ...options, String(count)]);
  try {
    await Promise.all([printed(agent, "ready"), settled(state)]);
    const began = performance.now();
    const answer = await post(join(state, "agent.sock"), `/stop?deadlineMs=${stopLimitMs}`);
    const ms = performance.now() - began;
    if (!answer.includes('"graceful"') || !answer.includes('"proven"'))
      throw new Error(`cannot measure: the stop was not graceful and proven: ${answer.slice(0, 500)}`);
    return { ms, peak: await procBytes(agent.pid, "status", "VmHWM") };
  } finally {
    await end(agent);
  }
}

function post(socketPath: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request(
      { socketPath, path, method: "POST", agent: false, timeout: 2 * stopLimitMs },
      (response) => void text(response).then(resolve, reject),
    );
    call.once("timeout", () => call.destroy(new Error("cannot measure: the stop was not answered")));
    call.once("error", reject);
    call.end();
  });
}
