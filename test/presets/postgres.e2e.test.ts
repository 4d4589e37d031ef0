import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { until } from "../containers/until.ts";
import { findPart } from "./find-program.ts";
import { type PresetBed, asServerUser, createPresetBed, freePort, upMs } from "./preset-bed.ts";
import { type Writer, startWriter } from "./writer.ts";

const { paths, options } = findPart("PostgreSQL", ["initdb", "postgres", "psql"]);
const [initdb = "", postgres = "", psql = ""] = paths;
const clean = /database system was shut down at/;
const recovery = /database system was (interrupted|not properly shut down)/;
const graceful = { outcome: "graceful", evidenceClass: "proven", exit: { code: 0, signal: null } };

describe("PostgreSQL under the preset postgres", options, () => {
  /** Holds a cluster that each test copies: making one takes seconds. */
  let template: PresetBed;
  let bed: PresetBed;
  let port: number;
  let cluster: string;
  let writers: Writer[];
  beforeAll(async () => {
    template = await createPresetBed();
    const made = join(template.data, "cluster");
    await template.run(asServerUser([initdb, "-D", made, "-U", "postgres", "-A", "trust", "-N"]));
  }, 120_000);
  afterAll(() => template.end());
  beforeEach(async () => {
    bed = await createPresetBed();
    port = await freePort();
    cluster = join(bed.data, "cluster");
    writers = [];
    await bed.run(["cp", "-a", join(template.data, "cluster"), cluster]);
  });
  afterEach(async () => {
    for (const writer of writers) await writer.end();
    await bed.end();
  });

  const client = () => [psql, "-h", "127.0.0.1", "-p", String(port), "-U", "postgres", "-qAtX"];
  const ask = (statement: string) => bed.run([...client(), "-c", statement]);
  const server = () => [postgres, "-D", cluster, "-p", String(port), "-k", bed.data];
  const serve = async (agentOptions: readonly string[] = [], command: readonly string[] = server()) => {
    const life = await bed.begin({
      preset: "postgres",
      options: agentOptions,
      command: asServerUser(command),
    });
    await until("the server answers", async () => (await ask("select 1").catch(() => "")) === "1\n", upMs);
    return life;
  };
  const write = async (count: number): Promise<void> => {
    await ask("create table written (writer int, n int)");
    for (let index = 0; index < count; index += 1)
      writers.push(
        startWriter({
          command: client(),
          environment: bed.environment,
          statement: (n) => `insert into written values (${index}, ${n}) returning n;`,
          answer: String,
        }),
      );
    for (const writer of writers) await writer.goOn(20);
  };
  const expectAllKept = async () => {
    for (const [index, { acknowledged }] of writers.entries()) {
      const kept = new Set((await ask(`select n from written where writer = ${index}`)).split("\n"));
      expect(acknowledged.filter((n) => !kept.has(String(n)))).toEqual([]);
    }
  };

  it("loses no acknowledged write, and the next start recovers nothing", async () => {
    const life = await serve();
    await write(3);
    const receipt = await life.stop();
    expect(receipt).toMatchObject({ ...graceful, signals: [{ signal: "SIGINT", processes: 1 }] });
    await life.leave();
    const next = await serve();
    expect(next.output()).toMatch(clean);
    expect(next.output()).not.toMatch(recovery);
    await expectAllKept();
  });

  it("says in its log when it does recover: what the test above looks for exists", async () => {
    const life = await serve();
    process.kill(await life.mainPid(), "SIGKILL");
    await life.leave();
    await until("it is gone", async () => (await life.members()).length === 0);
    expect((await serve()).output()).toMatch(recovery);
  });

  it("ends though an idle client and an open transaction are connected", async () => {
    const life = await serve();
    await ask("create table written (writer int, n int)");
    const idle = { environment: bed.environment, answer: String };
    writers.push(startWriter({ ...idle, command: client(), statement: (n) => (n > 1 ? "" : "select 1;") }));
    writers.push(
      startWriter({
        ...idle,
        command: client(),
        statement: (n) => (n > 1 ? "" : "begin; insert into written values (0, 1) returning n;"),
      }),
    );
    await until("both are connected", () => writers.every(({ acknowledged }) => acknowledged.length === 1));
    expect(await life.stop()).toMatchObject(graceful);
    await life.leave();
    await serve();
    expect(await ask("select count(*) from written")).toBe("0\n");
  });

  it("is refused by SIGTERM while a client is connected, and serves that client on", async () => {
    const life = await serve(["--signal", "TERM", "--grace-ms", "1500"]);
    await write(1);
    const receipt = await life.stop();
    expect(receipt).toMatchObject({ outcome: "refused", exit: null, signals: [{ signal: "SIGTERM" }] });
    await writers[0]?.goOn(20);
    expect(await life.isReady()).toBe(true);
    // The smart shutdown cannot be taken back: no new client gets in, and the last one's leaving ends the server.
    await expect(ask("select 1")).rejects.toThrow("the database system is shutting down");
    await writers[0]?.end();
    await until("the server ends", async () => (await life.members()).length === 0);
  });

  it("stops behind an entrypoint script that execs it", async () => {
    const entrypoint = join(bed.directory, "docker-entrypoint.sh");
    await writeFile(entrypoint, `#!/bin/sh\nset -e\n: prepare\nexec "$@"\n`, { mode: 0o755 });
    const life = await serve([], [entrypoint, ...server()]);
    await write(1);
    expect(await life.stop()).toMatchObject(graceful);
  });
});
