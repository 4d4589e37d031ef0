import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { until } from "../containers/until.ts";
import type { needing } from "./find-program.ts";
import { type PresetBed, asServerUser, createPresetBed, freePort, upMs } from "./preset-bed.ts";
import { type Writer, startWriter } from "./writer.ts";

const clean = /Shutdown complete/;
const recovery = /[Cc]rash recovery/;
const graceful = { outcome: "graceful", evidenceClass: "proven", exit: { code: 0, signal: null } };

export interface MysqlLike {
  readonly preset: "mysql" | "mariadb";
  readonly server: string;
  /** `mysqld_safe` or what it is called there. */
  readonly wrapper: string;
  readonly client: string;
  /** Makes a data directory whose root needs no password. */
  readonly initialise: (dataDirectory: string) => readonly string[];
  readonly options: ReturnType<typeof needing>;
}

/** What a stop by the preset promises, of MySQL and of those that come from it. */
export function testMysqlLike({ preset, server, wrapper, client, initialise, options }: MysqlLike): void {
  describe(`${preset} under its preset`, options, () => {
    /** Holds a data directory that each test copies: making one takes seconds. */
    let template: PresetBed;
    let bed: PresetBed;
    let port: number;
    let datadir: string;
    let writers: Writer[];
    beforeAll(async () => {
      template = await createPresetBed();
      await template.run(asServerUser(initialise(join(template.data, "mysql"))));
    }, 120_000);
    afterAll(() => template.end());
    beforeEach(async () => {
      bed = await createPresetBed();
      port = await freePort();
      datadir = join(bed.data, "mysql");
      writers = [];
      await bed.run(["cp", "-a", join(template.data, "mysql"), datadir]);
    });
    afterEach(async () => {
      for (const writer of writers) await writer.end();
      await bed.end();
    });

    const socket = () => join(bed.data, "server.sock");
    const connect = () => [
      client,
      "--no-defaults",
      `--socket=${socket()}`,
      "--user=root",
      "-N",
      "--unbuffered",
    ];
    const ask = (statement: string) => bed.run([...connect(), "-e", statement]);
    const settings = () => [
      `--datadir=${datadir}`,
      `--socket=${socket()}`,
      `--port=${port}`,
      "--bind-address=127.0.0.1",
      `--pid-file=${join(bed.data, "server.pid")}`,
      "--skip-name-resolve",
    ];
    const serve = async (program = server, more: readonly string[] = []) => {
      const life = await bed.begin({
        preset,
        command: asServerUser([program, "--no-defaults", ...settings(), ...more]),
      });
      await until("the server answers", async () => (await ask("select 1").catch(() => "")) === "1\n", upMs);
      return life;
    };
    const write = async (count: number): Promise<void> => {
      await ask("create database d; create table d.written (writer int, n int) engine=innodb");
      for (let index = 0; index < count; index += 1)
        writers.push(
          startWriter({
            command: [...connect(), "d"],
            environment: bed.environment,
            statement: (n) => `insert into written values (${index}, ${n}); select ${n};`,
            answer: String,
          }),
        );
      for (const writer of writers) await writer.goOn(20);
    };
    const expectAllKept = async () => {
      for (const [index, { acknowledged }] of writers.entries()) {
        const kept = new Set((await ask(`select n from d.written where writer = ${index}`)).split("\n"));
        expect(acknowledged.filter((n) => !kept.has(String(n)))).toEqual([]);
      }
    };

    it("loses no acknowledged write, and the next start recovers nothing", async () => {
      const life = await serve();
      await write(3);
      const receipt = await life.stop();
      expect(receipt).toMatchObject({ ...graceful, signals: [{ signal: "SIGTERM" }] });
      expect(life.output()).toMatch(clean);
      await life.leave();
      const next = await serve();
      expect(next.output()).not.toMatch(recovery);
      await expectAllKept();
    });

    it("says in its log when it does recover: what the test above looks for exists", async () => {
      const life = await serve();
      await write(1);
      process.kill(await life.mainPid(), "SIGKILL");
      await life.leave();
      await until("it is gone", async () => (await life.members()).length === 0);
      expect((await serve()).output()).toMatch(recovery);
    });

    it("stops behind the wrapper that ignores every signal and would start it again", async () => {
      const log = join(bed.data, "error.log");
      const life = await serve(wrapper, [`--log-error=${log}`, `--ledir=${join(server, "..")}`]);
      await write(1);
      const receipt = await life.stop();
      expect(receipt).toMatchObject(graceful);
      expect(await bed.run(["cat", log])).toMatch(clean);
      await life.leave();
      expect((await serve()).output()).not.toMatch(recovery);
      await expectAllKept();
    });
  });
}
