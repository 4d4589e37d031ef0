import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { type Started, end, fixture, printed, settled, start, withBundle } from "./agent-bundle.ts";
import { type Figure, median, percentile99, ratioFigure, valueFigure } from "./figure.ts";

const bench = "stop";
const defaultRuns = 200;
const tini = ["/usr/bin/tini", "/usr/local/bin/tini", "/sbin/tini"].find((path) => existsSync(path));
const application = ["perl", fixture("slow-end.pl")];
/** Processes of its own, as a container has. */
const container = [
  "unshare",
  ...(process.getuid?.() === 0 ? [] : ["--user", "--map-root-user"]),
  "--pid",
  "--fork",
  "--mount-proc",
  "--kill-child",
  "--",
];

/**
 * SIGTERM to the first process of a container, then the container's end. Of the three, each with tini in front: the application alone; under the
 * agent, which signals, proves that the tree is gone, and has its signed receipt on disk before it exits; and under a Node that only waits for it,
 * as nothing that Node runs can be faster. One run each in turn, so that load hits all of them.
 */
export async function benchStop(runs: number = defaultRuns): Promise<readonly Figure[]> {
  if (tini === undefined) throw new Error("cannot measure a stop: it is compared with tini; install it");
  const first = [...container, tini, "--"];
  const agents: number[] = [];
  const plain: number[] = [];
  const bare: number[] = [];
  let receipts = 0;
  await withBundle(async ({ bundle, directory }) => {
    for (let run = 0; run < runs; run += 1) {
      const state = await mkdtemp(join(directory, "s-"));
      const agent = ["--listen", "127.0.0.1:0", "--state-directory", state, "--", ...application];
      const underAgent = start([...first, process.execPath, bundle, "run", ...agent]);
      const underTini = start([...first, ...application]);
      const underNode = start([...first, process.execPath, fixture("bare-parent.cjs"), ...application]);
      const all = [underAgent, underTini, underNode];
      try {
        await Promise.all([...all.map((one) => printed(one, "ready")), settled(state)]);
        const stops = [
          () => stopMs(underAgent, agents),
          () => stopMs(underTini, plain),
          () => stopMs(underNode, bare),
        ];
        for (const stop of run % 2 === 0 ? stops : stops.toReversed()) await stop();
        receipts += (await readdir(join(state, "receipts"))).length;
      } finally {
        await Promise.all(all.map((one) => end(one)));
      }
    }
  });
  const slowest = percentile99(agents);
  const slowestPlain = percentile99(plain);
  const reference = median(plain);
  return [
    ratioFigure({
      bench,
      figure: "SIGTERM to exit, median",
      value: median(agents),
      unit: "ms",
      reference,
      atMost: 1.03,
    }),
    valueFigure({
      bench,
      figure: "the same for a Node that only waits, median",
      value: median(bare),
      unit: "ms",
      reference,
      atMost: null,
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

async function stopMs({ child, pid }: Started, into: number[]): Promise<void> {
  const exited = once(child, "exit");
  const [inside] = (await readFile(`/proc/${pid}/task/${pid}/children`, "utf8")).match(/\d+/) ?? [];
  // Nobody's number would be 0, which is our own process group.
  if (inside === undefined) throw new Error("cannot measure a stop: the container has no first process");
  const began = performance.now();
  process.kill(Number(inside), "SIGTERM");
  const [code] = await exited;
  into.push(performance.now() - began);
  if (code !== 0) throw new Error(`cannot measure a stop: it ended with ${String(code)}`);
}
