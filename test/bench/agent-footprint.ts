import { mkdtemp, stat } from "node:fs/promises";
import { get } from "node:http";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import {
  type Started,
  cpuMs,
  end,
  fixture,
  freePort,
  now,
  procBytes,
  settled,
  start,
  until,
  withBundle,
} from "./agent-bundle.ts";
import { type Figure, median, ratioFigure, valueFigure } from "./figure.ts";
import { type LeasedAgent, openLeasedPlace } from "./leased-agent.ts";

const bench = "agent-footprint";
const defaultRuns = 15;
const probeMs = 1_000;
const idleMs = 60_000;
/** The application says when it was executed, by its own clock. */
const clock = ["date", "+%s%N"];

interface Place {
  readonly bundle: string;
  readonly directory: string;
}

/** What an agent costs that only waits, against the least that answers a probe: a bare `node:http` server, in the same run. */
export async function benchFootprint(runs: number = defaultRuns): Promise<readonly Figure[]> {
  return withBundle(async (place) => [
    valueFigure({
      bench,
      figure: "bundle",
      value: (await stat(place.bundle)).size / 1_000,
      unit: "kB",
      atMost: 130,
    }),
    ...(await benchStart(place, runs)),
    ...(await benchRelease(place, runs)),
    ...(await benchIdle(place)),
  ]);
}

async function benchStart({ bundle, directory }: Place, runs: number): Promise<readonly Figure[]> {
  const ready: number[] = [];
  const bareReady: number[] = [];
  const executed: number[] = [];
  const bareExecuted: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    const port = await freePort();
    const agent = async (command: readonly string[]): Promise<readonly string[]> => {
      const state = await mkdtemp(join(directory, "s-"));
      const options = ["--listen", `127.0.0.1:${port}`, "--state-directory", state];
      return [process.execPath, bundle, "run", ...options, "--", ...command];
    };
    bareReady.push(await readyMs([process.execPath, fixture("bare-server.cjs"), String(port)], port));
    ready.push(await readyMs(await agent(["sleep", "1000"]), port));
    executed.push(await executedMs(await agent(clock)));
    bareExecuted.push(await executedMs([process.execPath, fixture("bare-parent.cjs"), ...clock]));
  }
  return [
    ratioFigure({
      bench,
      figure: "exec to first answer of /livez, median",
      value: median(ready),
      unit: "ms",
      reference: median(bareReady),
      atMost: 1.6,
    }),
    valueFigure({
      bench,
      figure: "exec of the agent to exec of the application, median",
      value: median(executed),
      unit: "ms",
      reference: median(bareExecuted),
      atMost: 60,
    }),
  ];
}

async function readyMs(command: readonly string[], port: number): Promise<number> {
  const server = start(command);
  try {
    await until("/livez answers", async () => ((await probe(port)) ? true : null), 1);
    return now() - server.at;
  } finally {
    await end(server);
  }
}

async function executedMs(command: readonly string[]): Promise<number> {
  const agent = start(command);
  try {
    await until("the application says when it was executed", async () => /^\d{19}$/m.exec(agent.output()));
    return saidAt(agent) - agent.at;
  } finally {
    await end(agent);
  }
}

/** In epoch ms. */
const saidAt = ({ output }: Started): number => Number(/^\d{19}$/m.exec(output())?.[0]) / 1e6;

/** Says twice what time it is: the second time tells how long the first took after the shell was executed. */
const clockTwice = ["sh", "-c", "date +%s%N; date +%s%N; exec sleep 1000"];
const twice = /^(\d{19})\n(\d{19})$/m;

/** In epoch ms. */
const shellExecutedAt = ({ output }: Started): number => {
  const [, first, second] = twice.exec(output()) ?? [];
  return (2 * Number(first) - Number(second)) / 1e6;
};

/** From the acceptance of a start command until the application was executed, less what the store took for the same change of the lease. */
async function benchRelease(place: Place, runs: number): Promise<readonly Figure[]> {
  const released: number[] = [];
  const store: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    const leased = await openLeasedPlace(place, clockTwice);
    try {
      const acceptedAt = await leased.release();
      const { agent } = leased;
      await until("the application says when it was executed", async () => twice.exec(agent.output()));
      released.push(shellExecutedAt(agent) - acceptedAt);
      store.push(await leased.takeMs());
    } finally {
      await leased.close();
    }
  }
  const whole = median(released);
  const lease = median(store);
  return [
    valueFigure({
      bench,
      figure: "start command accepted to exec, with the lease in a store on the same disk, median",
      value: whole,
      unit: "ms",
      reference: lease,
      atMost: null,
    }),
    valueFigure({
      bench,
      figure: "of that the agent's own time",
      value: whole === null || lease === null ? null : whole - lease,
      unit: "ms",
      atMost: 10,
    }),
  ];
}

/** Both with a probe every second; the agent renews its lease every 5 s. */
async function benchIdle(place: Place): Promise<readonly Figure[]> {
  const port = await freePort();
  const bare = start([process.execPath, fixture("bare-server.cjs"), String(port)]);
  let leased: LeasedAgent | null = null;
  try {
    leased = await openLeasedPlace(place, ["sleep", "1000"]);
    await leased.release();
    await settled(leased.stateDirectory);
    const both = [
      { pid: bare.pid, port },
      { pid: leased.agent.pid, port: leased.port },
    ];
    const before = await Promise.all(both.map(({ pid }) => cpuMs(pid)));
    for (const endAt = performance.now() + idleMs; performance.now() < endAt; await delay(probeMs))
      if ((await Promise.all(both.map((server) => probe(server.port)))).includes(false))
        throw new Error("cannot measure: /livez was not answered");
    const after = await Promise.all(both.map(({ pid }) => cpuMs(pid)));
    const [bareCpu = Number.NaN, agentCpu = Number.NaN] = after.map(
      (ms, n) => ms - (before[n] ?? Number.NaN),
    );
    const memory = (pid: number, field: string): Promise<number> => procBytes(pid, "smaps_rollup", field);
    const row = async (figure: string, field: string, atMost: number): Promise<Figure> =>
      ratioFigure({
        bench,
        figure,
        value: (await memory(both[1]?.pid ?? 0, field)) / 1e6,
        unit: "MB",
        reference: (await memory(both[0]?.pid ?? 0, field)) / 1e6,
        atMost,
      });
    return [
      ratioFigure({
        bench,
        figure: `CPU time in ${idleMs / 1_000} s idle`,
        value: agentCpu,
        unit: "ms",
        reference: bareCpu,
        atMost: 2,
      }),
      await row("RSS after that", "Rss", 1.2),
      await row("anonymous memory after that", "Anonymous", 1.5),
    ];
  } finally {
    await leased?.close();
    await end(bare);
  }
}

function probe(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const call = get({ host: "127.0.0.1", port, path: "/livez", agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    call.once("error", () => resolve(false));
  });
}
