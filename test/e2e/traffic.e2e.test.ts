/*
 * Who is told where an application is served: a webhook, a program and a real name server follow a ledger under load that moves, stops, starts and is
 * deleted, though the orchestrator dies between the commit and the telling. Each takes each telling once (rule 20), and never one before its commit.
 */
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { application, runOperation } from "@baton/example-ledger/demo";
import type { OperationRequest, TrafficPluginManifest, TrafficView } from "@baton/protocol";
import {
  type NameServer,
  type WebhookReceiver,
  nameServerMeta,
  nameServerMissing,
  startNameServer,
  startWebhookReceiver,
} from "@baton/traffic/testing";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type Journey, openJourney } from "./journey.ts";

const openMs = 60_000;
const toldMs = 30_000;
const program = fileURLToPath(
  new URL("fixtures/record-route.mjs", import.meta.resolve("@baton/traffic/testing")),
);

describe("traffic", { skip: nameServerMissing !== null, meta: nameServerMeta }, () => {
  let directory: string;
  let hooks: WebhookReceiver;
  let bind: NameServer;
  let journey: Journey;
  let file: string;
  let plugins: TrafficPluginManifest[];
  const name = "ledger.harbor.test";

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "baton-traffic-"));
    file = join(directory, "told");
    [hooks, bind] = await Promise.all([startWebhookReceiver(), startNameServer()]);
    plugins = [
      { plugin: "webhook", url: hooks.url, secret: { file: hooks.secretFile }, timeoutMs: 5_000 },
      { plugin: "command", command: [process.execPath, program, file], timeoutMs: 5_000 },
      {
        plugin: "dns",
        server: bind.server,
        zone: bind.zone,
        name,
        type: "A",
        ttlSeconds: 1,
        key: { file: bind.keyFile },
        addresses: { "harbor-a": "127.0.0.11", "harbor-b": "127.0.0.12" },
        timeoutMs: 5_000,
      },
    ];
    journey = await openJourney({ traffic: plugins }, { BATON_FAULT: "kill@migrate.commit" });
  }, openMs);
  afterAll(async () => {
    await journey?.close();
    await Promise.all([hooks?.close(), bind?.stop()]);
    await rm(directory, { recursive: true, force: true });
  }, openMs);

  const client = () => journey.harbour.client;
  const committed = async (request: OperationRequest): Promise<void> => {
    const { state, reason } = await runOperation(client(), request);
    expect({ state, reason }).toEqual({ state: "committed", reason: null });
  };
  const allTold = (count = plugins.length): Promise<readonly TrafficView[]> =>
    vi.waitFor(
      async () => {
        const [views, { epoch, url }] = await Promise.all([
          client().traffic(application),
          client().route(application),
        ]);
        expect(views).toHaveLength(count);
        for (const { settled, wanted, error } of views)
          expect([error, settled, wanted.epoch, wanted.url]).toEqual([null, true, epoch, url]);
        return views;
      },
      { timeout: toldMs, interval: 50 },
    );
  const byWebhook = () => hooks.taken.map(({ epoch, cluster }) => `${epoch} ${cluster}`);
  const byCommand = async () =>
    existsSync(file)
      ? (await readFile(file, "utf8"))
          .trim()
          .split("\n")
          .map((line) => (JSON.parse(line) as { telling: { epoch: number; cluster: string | null } }).telling)
          .map(({ epoch, cluster }) => `${epoch} ${cluster}`)
      : [];
  const expectTold = async (tellings: readonly string[], address: string | null): Promise<void> => {
    await allTold();
    expect(byWebhook()).toEqual(tellings);
    expect(await byCommand()).toEqual(tellings);
    expect(await bind.lookUp(name, "A")).toEqual(address === null ? [] : [address]);
  };

  it("follows a migration whose orchestrator is killed between the commit and the telling, once each", async () => {
    await expectTold(["1 harbor-a"], "127.0.0.11");
    // Nobody can have been told by the one that dies.
    hooks.answer = 503;
    await writeFile(`${file}.refuse`, "");
    const before = journey.harbour.kills();
    await committed({ kind: "migrate", application, to: "harbor-b" });
    expect(journey.harbour.kills() - before).toBe(1);
    expect(byWebhook()).toHaveLength(1);
    expect(await byCommand()).toHaveLength(1);
    hooks.answer = undefined;
    await rm(`${file}.refuse`);
    await expectTold(["1 harbor-a", "2 harbor-b"], "127.0.0.12");
    expect(hooks.taken.at(-1)).toMatchObject({ previous: { cluster: "harbor-a" } });
  });

  it("a stop is told as nowhere, a start as somewhere again", async () => {
    const before = byWebhook();
    await committed({ kind: "stop", application });
    await expectTold([...before, "2 null"], null);
    await committed({ kind: "start", application });
    await expectTold([...before, "2 null", "3 harbor-b"], "127.0.0.12");
  });

  it("who is taken out of the manifest is told that nothing serves, and forgotten", async () => {
    const declared = (await client().declared("application")).find((each) => each.name === application);
    if (declared?.kind !== "application") throw new Error("it is declared");
    await client().apply({ ...declared, traffic: plugins.slice(0, 1) });
    await vi.waitFor(async () => expect(await client().traffic(application)).toHaveLength(1), {
      timeout: toldMs,
      interval: 50,
    });
    expect(await bind.lookUp(name, "A")).toEqual([]);
    expect((await byCommand()).at(-1)).toBe("3 null");
    expect(byWebhook().at(-1)).toBe("3 harbor-b");
    await committed({ kind: "delete", application });
    await allTold(1);
    expect(byWebhook().at(-1)).toBe("3 null");
  });
});
