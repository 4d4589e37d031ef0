import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readdir } from "node:fs/promises";
import { join } from "node:path";
import { type Started, end, fixture, printed, settled, start, withBundle } from "./agent-bundle.ts";
import { type Figure, median, percentile99, ratioFigure, valueFigure } from "./figure.ts";

const bench = "stop";
const defaultRuns = 200;
const tini = ["/usr/bin/tini", "/usr/local/bin/tini", "/sbin/tini"].find((path) => existsSync(path));
const application = ["perl", fixture("slow-end.pl")];

/**
 * SIGTERM to the first process, then its exit, as a container's end is: tini passes the signal on and exits with its child; the agent drains, signals,
 * proves that the tree is gone, and has its signed receipt on disk before it exits. One run each in turn, so that load hits both.
 */
export async function benchStop(runs: number = defaultRuns): Promise<readonly Figure[]> {
  if (tini === undefined) throw new Error("cannot measure a stop: it is compared with tini; install it");
  const agents: number[] = [];
  const plain: number[] = [];
  let receipts = 0;
  await withBundle(async ({ bundle, directory }) => {
    for (let run = 0; run < runs; run += 1) {
      const state = await mkdtemp(join(directory, "s-"));
      const agent = ["--listen", "127.0.0.1:0", "--state-directory", state, "--", ...application];
      const underAgent = start([process.execPath, bundle, "run", ...agent]);
      const underTini = start([tini, "--", ...application]);
      try {
        await Promise.all([printed(underAgent, "ready"), printed(underTini, "ready"), settled(state)]);
        const both = [() => stopMs(underAgent, agents), () => stopMs(underTini, plain)];
        for (const stop of run % 2 === 0 ? both : both.toReversed()) await stop();
        receipts += (await readdir(join(state, "receipts"))).length;
      } finally {
        await Promise.all([end(underAgent), end(underTini)]);
      }
    }
  });
  const slowest = percentile99(agents);
  const slowestPlain = percentile99(plain);
  return [
    ratioFigure({
      bench,
      figure: "SIGTERM to exit, median",
      value: median(agents),
      unit: "ms",
      reference: median(plain),
      atMost: 1.03,
    }),
    valueFigure({
      bench,
      figure: "added to the 99th percentile",
      value: slowest === null || slowestPlain === null ? null : slowest - slowestPlain,
      unit: "ms",
      atMost: 25,
    }),
    valueFigure({
      bench,
      figure: "99th percentile",
      value: slowest,
      unit: "ms",
      reference: slowestPlain,
      atMost: null,
    }),
    valueFigure({
      bench,
      figure: "stops without a receipt",
      value: runs - receipts,
      unit: "stops",
      atMost: 0,
    }),
  ];
}

async function stopMs({ child }: Started, into: number[]): Promise<void> {
  const exited = once(child, "exit");
  const began = performance.now();
  child.kill("SIGTERM");
  const [code] = await exited;
  into.push(performance.now() - began);
  if (code !== 0) throw new Error(`cannot measure a stop: it ended with ${String(code)}`);
}
