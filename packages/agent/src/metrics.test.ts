import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { afterEach, describe, expect, it } from "vitest";
import { type Bed, createBed, until } from "./fixtures/agent-bed.ts";
import { type ParsedMetric, parseMetrics } from "./fixtures/parse-metrics.ts";
import { formatMetrics } from "./metrics-text.ts";
import { countZombies, zombieMetrics } from "./metrics-process.ts";

const needs = { part: "/proc/PID/children", reason: "this kernel does not list children" };

let bed: Bed | null = null;
afterEach(async () => {
  await bed?.end();
  bed = null;
});

async function scrape(of: Bed): Promise<ReadonlyMap<string, ParsedMetric>> {
  // The text is made once a second at most.
  await new Promise((resolve) => setTimeout(resolve, 1_050));
  const response = await fetch(`${of.agent.endpoint.url}/metrics`);
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  return parseMetrics(await response.text());
}
const value = (metrics: ReadonlyMap<string, ParsedMetric>, name: string, labels = {}): number | undefined =>
  metrics.get(name)?.samples.find((sample) => JSON.stringify(sample.labels) === JSON.stringify(labels))
    ?.value;

describe("/metrics", { timeout: 60_000 }, () => {
  it("tells the life of an application, without a token", async () => {
    bed = await createBed({ hook: { drain: { timeoutMs: 100, delayMs: 0, maxConnections: 0, quietMs: 0 } } });
    bed.answers.push(...Array.from({ length: 1_000 }, () => 503));
    const { run, epoch } = await bed.run();
    await bed.post("/v1/open", await bed.sign({ kind: "open", operation: bed.operation, run }, epoch));
    const refused = await bed.post("/v1/stop", "nonsense.nonsense.nonsense");
    expect(refused.status).toBe(401);
    let metrics = await scrape(bed);
    expect(
      value(metrics, "baton_agent_info", {
        version: "0.1.0",
        placement: bed.config.placement,
        application: "ledger",
      }),
    ).toBe(1);
    const states = metrics.get("baton_agent_state")?.samples ?? [];
    expect(states).toHaveLength(11);
    expect(states.filter((sample) => sample.value === 1)).toEqual([
      { labels: { state: "running" }, value: 1 },
    ]);
    expect(value(metrics, "baton_agent_ready")).toBe(1);
    expect(value(metrics, "baton_agent_open")).toBe(1);
    expect(value(metrics, "baton_agent_epoch")).toBe(epoch);
    expect(value(metrics, "baton_agent_lease_reachable")).toBe(1);
    expect(value(metrics, "baton_agent_lease_lost")).toBe(0);
    expect(value(metrics, "baton_agent_lease_renewals_total", { result: "renewed" })).toBeGreaterThan(0);
    expect(value(metrics, "baton_agent_commands_refused_total", { code: "unauthenticated" })).toBe(1);
    expect(value(metrics, "baton_agent_stops_total", { outcome: "graceful" })).toBe(0);
    expect(metrics.has("baton_agent_last_stop_duration_seconds")).toBe(false);

    await bed.receipt((await bed.postStop({ run, epoch })).key);
    metrics = await scrape(bed);
    expect(value(metrics, "baton_agent_stops_total", { outcome: "graceful" })).toBe(1);
    expect(value(metrics, "baton_agent_last_stop_duration_seconds")).toBeGreaterThan(0);
    const phases = metrics.get("baton_agent_last_stop_phase_duration_seconds")?.samples ?? [];
    expect(phases.map(({ labels }) => labels["phase"])).toEqual(["drain", "signals", "verify"]);
    expect(value(metrics, "baton_agent_receipts_unconfirmed")).toBe(1);
    expect(value(metrics, "baton_agent_receipts_uncopied")).toBe(0);
    expect(value(metrics, "baton_agent_ready")).toBe(0);
  });

  it("follows Prometheus' conventions of names, units and types", async () => {
    bed = await createBed();
    await bed.begin();
    const metrics = await scrape(bed);
    for (const [name, { type, help }] of metrics) {
      expect(name).toMatch(/^(baton_agent|process)(_[a-z]+)+$/);
      expect(help).toMatch(/\.$/);
      expect(type === "counter").toBe(name.endsWith("_total"));
      // Base units only, at the end of the name.
      expect(name).not.toMatch(/_(ms|milliseconds|minutes|kb|kilobytes|percent)(_|$)/);
      if (/duration|time|cpu/.test(name)) expect(name).toMatch(/_seconds(_total)?$/);
      if (/memory/.test(name)) expect(name).toMatch(/_bytes$/);
    }
    const startedAt = value(metrics, "process_start_time_seconds") ?? 0;
    expect(Math.abs(startedAt - (Date.now() / 1_000 - process.uptime()))).toBeLessThan(5);
    expect(value(metrics, "process_resident_memory_bytes")).toBeGreaterThan(1e7);
    expect(value(metrics, "process_open_fds")).toBeGreaterThan(3);
    expect(value(metrics, "process_cpu_seconds_total")).toBeGreaterThan(0);
  });

  it("asks neither the store nor the disk, however often it is asked", async () => {
    bed = await createBed();
    await bed.begin();
    await bed.status();
    // What is asked of it in the bucket is looked for all the time.
    const { requests } = bed;
    const asked = () => requests.filter(({ key }) => !key.includes("/requests/")).length;
    const before = asked();
    const { url } = bed.agent.endpoint;
    const texts = await Promise.all(
      Array.from({ length: 50 }, async () => (await fetch(`${url}/metrics`)).text()),
    );
    expect(new Set(texts).size).toBe(1);
    await scrape(bed);
    expect(asked()).toBe(before);
    // Unlike the status, which looks.
    await bed.status();
    expect(asked()).toBe(before + 1);
  });
});

describe("zombies", { skip: !existsSync("/proc/thread-self/children"), meta: { needs } }, () => {
  it("are counted below a parent that does not reap them, and not once they are reaped", async () => {
    // The shell becomes a program that knows nothing of the child that it had.
    const parent = spawn("sh", ["-c", "sleep 0.1 & exec sleep 60"], { stdio: "ignore" });
    try {
      await until("a zombie", async () => (await countZombies(parent.pid ?? 0)) === 1);
      expect(await countZombies(process.pid)).toBe(0);
    } finally {
      parent.kill("SIGKILL");
      await once(parent, "exit");
    }
    const [metric] = await zombieMetrics();
    expect(metric?.samples).toContainEqual({ labels: { parent: "agent" }, value: 0 });
  });
});

describe("the text format", () => {
  it("escapes label values, leaves out what is not known, and is read back", () => {
    const text = formatMetrics([
      { name: "a", type: "gauge", help: "A.", samples: [{ labels: { x: 'q"b\\s\nn' }, value: 1.5 }] },
      { name: "b_total", type: "counter", help: "B.", samples: [] },
    ]);
    expect(text).toBe('# HELP a A.\n# TYPE a gauge\na{x="q\\"b\\\\s\\nn"} 1.5\n');
    expect(parseMetrics(text).get("a")?.samples).toEqual([{ labels: { x: 'q"b\\s\nn' }, value: 1.5 }]);
  });

  it.each([
    "a 1\n",
    "# HELP a A.\na 1\n",
    "# HELP a A.\n# TYPE a gauge\na 1",
    "# HELP a A.\n# TYPE a gauge\na 1\na 2\n",
    "# HELP a A.\n# TYPE a gauge\na{x=1} 1\n",
    '# HELP a A.\n# TYPE a gauge\na{x="1",x="2"} 1\n',
    "# HELP a A.\n# TYPE a size\na 1\n",
    "# HELP a A.\n# TYPE a gauge\na one\n",
    "# HELP a A.\n# TYPE a gauge\na 1\n# HELP b B.\n# TYPE b gauge\nb 1\na 1\n",
  ])("is read strictly: %j is refused", (text) => {
    expect(() => parseMetrics(text)).toThrow(/./);
  });
});
