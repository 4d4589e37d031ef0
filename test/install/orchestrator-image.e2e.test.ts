import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { type BatonClient, createBatonClient } from "@baton/cli/client";
import { type DevStore, startDevStore } from "@baton/dev-store";
import { runOperation } from "@baton/example-ledger/demo";
import { createKeyPair, hookSchema, parseAs } from "@baton/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { needsContainers, useContainers } from "../containers/container-bed.ts";
import { findPodman } from "../containers/podman.ts";
import { runLabel } from "../containers/run-label.ts";
import { until } from "../containers/until.ts";
import { openPostgresBed, postgresBedMs, postgresOptions } from "../storage/postgres-bed.ts";
import { buildOrchestratorImage } from "./orchestrator-image.ts";

const found = await findPodman();
const user = 65_532;
const [bucket, prefix] = ["harbor", "quay/"];
const place = "/var/lib/baton";
const secrets = "/run/baton";
const newKey = () => ({
  accessKeyId: randomBytes(8).toString("hex"),
  secretAccessKey: randomBytes(16).toString("hex"),
});
const options = found.missing === null ? postgresOptions : { skip: true, meta: needsContainers(found) };

describe("the orchestrator's image", options, () => {
  const bed = useContainers(found);
  const ends: (() => Promise<unknown>)[] = [];
  const containers: string[] = [];
  let directory = "";
  let image = "";
  let client: BatonClient;
  let id = "";
  let store: DevStore;

  /** As the platform should run it: nobody in particular, nothing to write to but its state, no capability. */
  const run = async (environment: Readonly<Record<string, string>>): Promise<string> => {
    const args = [
      "run",
      "--detach",
      "--read-only",
      "--cap-drop",
      "all",
      "--security-opt",
      "no-new-privileges",
    ];
    const given = Object.entries(environment).flatMap(([name, value]) => ["--env", `${name}=${value}`]);
    const volumes = [`${join(directory, "state")}:${place}`, `${join(directory, "secrets")}:${secrets}:ro`];
    const container = await bed.podman.read([
      ...args,
      "--network",
      "host",
      "--timeout",
      "120",
      "--label",
      await runLabel(),
      ...given,
      ...volumes.flatMap((volume) => ["--volume", volume]),
      image,
    ]);
    containers.push(container);
    return container;
  };
  const logs = async (): Promise<string> => {
    const { stdout, stderr } = await bed.podman.execute(["logs", id]);
    return `${stdout}${stderr}`;
  };

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "baton-image-"));
    ends.push(() => rm(directory, { recursive: true, force: true }));
    const at = (...parts: string[]): string => join(directory, ...parts);
    for (const name of ["state", "secrets"]) await mkdir(at(name));
    await copyFile(join(import.meta.dirname, "fixtures/quay.mjs"), at("state", "quay.mjs"));

    const postgres = await openPostgresBed();
    ends.push(() => postgres.close());
    const { host, port, database } = postgres.door;
    const keys = { control: newKey(), data: newKey() };
    store = await startDevStore({
      directory: at("store"),
      keys: {
        buckets: [bucket],
        keys: [
          {
            ...keys.control,
            allow: [
              { bucket, prefix: ".baton/", write: true },
              { bucket, prefix: "", write: false },
            ],
          },
          { ...keys.data, allow: [{ bucket, prefix, write: true }] },
        ],
      },
    });
    ends.push(() => store.close());
    const line = `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=baton -addext subjectAltName=IP:127.0.0.1`;
    await promisify(execFile)("openssl", [
      ...line.split(" "),
      "-keyout",
      at("secrets", "tls.key"),
      "-out",
      at("secrets", "tls.crt"),
    ]);
    const token = randomBytes(24).toString("base64url");
    for (const [name, text] of Object.entries({
      "database-url": `postgresql://${postgres.root.user}:${postgres.root.password}@${host}:${port}/${database}`,
      "admin-token": token,
      "command-key": JSON.stringify((await createKeyPair()).privateKey),
      control: JSON.stringify(keys.control),
      data: JSON.stringify(keys.data),
    }))
      await writeFile(at("secrets", name), text, { mode: 0o600 });
    await promisify(execFile)("chown", ["-R", `${user}:${user}`, at("state"), at("secrets")]);

    image = await buildOrchestratorImage(bed.podman, bed.images.agent);
    id = await run({
      BATON_LISTEN: "127.0.0.1:0",
      BATON_DATABASE_URL_FILE: `${secrets}/database-url`,
      BATON_ADMIN_TOKEN_FILE: `${secrets}/admin-token`,
      BATON_COMMAND_KEY_FILE: `${secrets}/command-key`,
      BATON_TLS_CERTIFICATE_FILE: `${secrets}/tls.crt`,
      BATON_TLS_KEY_FILE: `${secrets}/tls.key`,
      BATON_CA_FILE: `${secrets}/tls.crt`,
    });
    let url = "";
    const listens = async (): Promise<boolean> => {
      url = (await readFile(at("state", "url"), "utf8").catch(() => "")).trim();
      return url !== "";
    };
    await until("the orchestrator listens", listens, 60_000).catch(async (error: unknown) => {
      throw new Error(await logs(), { cause: error });
    });
    client = createBatonClient({ url, token, ca: await readFile(at("secrets", "tls.crt"), "utf8") });
  }, postgresBedMs + 240_000);

  afterAll(async () => {
    if (containers.length > 0)
      await bed.podman.read(["rm", "--force", "--ignore", "--time", "5", "--volumes", ...containers]);
    for (const end of ends.toReversed()) await end();
  }, 60_000);

  it("runs as nobody in particular on a root that it cannot write to, without a shell", async () => {
    const [{ Config, HostConfig }] = JSON.parse(await bed.podman.read(["inspect", id])) as [
      { Config: { User?: string }; HostConfig: { ReadonlyRootfs?: boolean } },
    ];
    expect([Config.User, HostConfig.ReadonlyRootfs]).toEqual([`${user}:${user}`, true]);
    expect((await bed.podman.execute(["exec", id, "/bin/sh", "-c", "true"])).status).not.toBe(0);
    const status = await readFile(
      `/proc/${await bed.podman.read(["inspect", "--format", "{{.State.Pid}}", id])}/status`,
      "utf8",
    );
    expect(status).toMatch(new RegExp(`^Uid:(\\s+${user}){4}$`, "m"));
    expect(status).toMatch(/^CapEff:\s+0+$/m);
    expect(status).toMatch(/^NoNewPrivs:\s+1$/m);
  });

  it("is healthy by a check that needs no shell, and ready for probes", async () => {
    expect(await client.readyz()).toBe(true);
    expect((await bed.podman.execute(["healthcheck", "run", id])).status).toBe(0);
  });

  it("deploys an application and stops it with a proof", async () => {
    await client.apply({ kind: "cluster", name: "quay", driver: "process", directory: `${place}/quay` });
    await client.apply(storageManifest(store.endpoint));
    await client.apply({
      kind: "application",
      name: "quay",
      storage: "harbor",
      workload: { command: ["/opt/baton/node", `${place}/quay.mjs`], environment: {} },
      hook: parseAs(hookSchema, {}, "the hook"),
      readiness: { path: "/", timeoutMs: 30_000 },
    });
    const deployed = await runOperation(client, { kind: "deploy", application: "quay", to: "quay" });
    expect(deployed).toMatchObject({ state: "committed" });
    const stopped = await runOperation(client, { kind: "delete", application: "quay" });
    expect(stopped).toMatchObject({
      state: "committed",
      receipt: { outcome: "graceful", evidenceClass: "proven" },
    });
  });

  it("ends in order on SIGTERM", async () => {
    await bed.podman.read(["stop", "--time", "20", id]);
    expect(await bed.podman.read(["inspect", "--format", "{{.State.ExitCode}}", id])).toBe("0");
  });

  it.each([
    ["without TLS", {}, "cannot listen on 0.0.0.0: it is not loopback, and tokens would travel in the clear"],
    ["without a database", { BATON_LISTEN: "127.0.0.1:0" }, "cannot find an embedded Postgres"],
  ])("does not start %s, and says what to do", async (_, environment, words) => {
    const container = await run(environment);
    expect(await bed.podman.read(["wait", container])).toBe("1");
    const { stdout, stderr } = await bed.podman.execute(["logs", container]);
    expect(`${stdout}${stderr}`).toContain(words);
  });
});

const storageManifest = (endpoint: string) =>
  ({
    kind: "storage",
    name: "harbor",
    endpoint,
    region: "us-east-1",
    bucket,
    prefix,
    settleMs: 50,
    credentials: {
      control: { file: `${secrets}/control` },
      data: { file: `${secrets}/data` },
      dataByCluster: {},
    },
  }) as const;
