import { chmod } from "node:fs/promises";
import { hookSchema, parseAs } from "@baton/protocol";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { until } from "../containers/until.ts";
import { findPart } from "./find-program.ts";
import {
  type AgentLife,
  type PresetBed,
  asServerUser,
  createPresetBed,
  forOrdinary,
  freePort,
  ownersOf,
  upMs,
} from "./preset-bed.ts";
import { type Writer, startWriter } from "./writer.ts";

/** What a stop by the preset promises, of Redis and of those that come from it. */
export function testRedisLike(names: {
  readonly preset: "redis" | "valkey";
  readonly server: string;
  readonly client: string;
  /** Not in the Debian that builds. */
  readonly nowhere?: boolean;
}): void {
  const { preset } = names;
  const { paths, options } = findPart(names.server, [names.server, names.client], names.nowhere);
  const [server = "", client = ""] = paths;
  const { quiesce } = parseAs(hookSchema, { preset }, "the hook");
  const [, , quiesceScript = ""] = quiesce?.command ?? [];
  const neverSavesByItself = ["--save", "3600 1000000"];

  describe(`${names.server} under the preset ${preset}`, options, () => {
    let bed: PresetBed;
    let port: number;
    let writers: Writer[];
    beforeEach(async () => {
      bed = await createPresetBed();
      port = await freePort();
      writers = [];
    });
    afterEach(async () => {
      for (const writer of writers) await writer.end();
      await bed.end();
    });

    const ask = (...words: readonly string[]) => bed.run([client, "-p", String(port), "--raw", ...words]);
    const serve = async (
      settings: readonly string[],
      agentOptions: readonly string[] = [],
      isOrdinary = false,
    ) => {
      const life = await bed.begin({
        preset,
        isOrdinary,
        options: ["--application-port", String(port), ...agentOptions],
        command: (isOrdinary ? (all: readonly string[]) => all : asServerUser)([
          server,
          "--port",
          String(port),
          "--dir",
          bed.data,
          ...settings,
        ]),
      });
      await until(
        "the server answers",
        async () => (await ask("ping").catch(() => "")).startsWith("PONG"),
        upMs,
      );
      return life;
    };
    const write = async (count: number): Promise<void> => {
      for (let index = 0; index < count; index += 1)
        writers.push(
          startWriter({
            command: [client, "-p", String(port)],
            environment: bed.environment,
            statement: (n) => `set w${index}:${n} ${n}`,
            answer: () => "OK",
          }),
        );
      for (const writer of writers) await writer.goOn(100);
    };
    const expectAllKept = async () => {
      const keys = new Set((await ask("keys", "w*")).split("\n"));
      for (const [index, { acknowledged }] of writers.entries())
        expect(acknowledged.filter((n) => !keys.has(`w${index}:${n}`))).toEqual([]);
    };
    const expectServing = async (life: AgentLife) => {
      expect(await life.isReady()).toBe(true);
      expect(await life.status()).toMatchObject({ state: "running", open: true });
      for (const writer of writers) await writer.goOn(100);
    };
    const graceful = { outcome: "graceful", evidenceClass: "proven", exit: { code: 0, signal: null } };
    /** Only the save at SIGTERM meets a directory that takes no write. */
    const lastSaveFails = (): readonly string[] => [
      "--quiesce",
      `(${quiesceScript}) && chmod 555 ${bed.data}`,
      "--quiesce-undo",
      quiesce?.undo?.at(-1) ?? "",
    ];

    it.each([
      ["a snapshot, though it has no save points", ["--save", ""]],
      ["a snapshot", neverSavesByItself],
      ["its append-only file", ["--save", "", "--appendonly", "yes"]],
    ])(
      "loses no acknowledged write of clients that write all through the stop: %s",
      async (_by, settings) => {
        const life = await serve(settings);
        await write(3);
        const receipt = await life.stop();
        expect(receipt).toMatchObject({ ...graceful, signals: [{ signal: "SIGTERM", processes: 1 }] });
        expect(receipt.phases).toContainEqual(expect.objectContaining({ phase: "quiesce", result: "done" }));
        expect(await life.isReady()).toBe(false);
        await life.leave();
        await serve(settings);
        await expectAllKept();
      },
    );

    it(
      "case 48: loses no acknowledged write when the agent is the same ordinary user, who can look into nobody else",
      forOrdinary,
      async () => {
        const life = await serve(neverSavesByItself, [], true);
        expect(await ownersOf([life.pid, await life.mainPid()])).toEqual([65_534, 65_534]);
        await write(3);
        const receipt = await life.stop();
        expect(receipt).toMatchObject({ ...graceful, signals: [{ signal: "SIGTERM", processes: 1 }] });
        expect(receipt.phases).toContainEqual(expect.objectContaining({ phase: "quiesce", result: "done" }));
        expect(await life.leave()).toBe(0);
        await serve(neverSavesByItself, [], true);
        await expectAllKept();
      },
    );

    it("waits for a save in the background that is under way", async () => {
      const life = await serve(neverSavesByItself);
      const keys = Array.from({ length: 200 }, (_, index) => [`key${index}`, "1"]).flat();
      await ask("mset", ...keys);
      // For the child that is forked now, and for no save after it.
      await ask("config", "set", "rdb-key-save-delay", "20000");
      await ask("bgsave");
      await ask("config", "set", "rdb-key-save-delay", "0");
      const receipt = await life.stop();
      expect(receipt).toMatchObject(graceful);
      expect(receipt.phases[0]).toMatchObject({ phase: "quiesce", result: "done" });
      // One turn of the preset's wait at least, or nothing was shown.
      expect(receipt.phases[0]?.ms).toBeGreaterThan(900);
    });

    it("is refused with a directory that takes no write, and takes writes again: case 10", async () => {
      const life = await serve(neverSavesByItself, ["--kill-allowed"]);
      await write(2);
      await chmod(bed.data, 0o555);
      const receipt = await life.stop();
      expect(receipt).toMatchObject({
        outcome: "refused",
        evidenceClass: "unknown",
        exit: null,
        signals: [],
      });
      const [failed, undone] = receipt.phases;
      expect(failed).toMatchObject({ phase: "quiesce", result: "failed" });
      expect(failed?.detail).toContain("ERR");
      expect(undone).toMatchObject({ phase: "quiesce", result: "done" });
      await expectServing(life);
      await chmod(bed.data, 0o755);
      expect(await life.stop()).toMatchObject(graceful);
      await life.leave();
      await serve(neverSavesByItself);
      await expectAllKept();
    });

    it("is refused when only the save at SIGTERM fails, and takes writes again: case 10", async () => {
      const life = await serve(neverSavesByItself, [...lastSaveFails(), "--grace-ms", "2000"]);
      await write(2);
      const receipt = await life.stop();
      expect(receipt).toMatchObject({ outcome: "refused", exit: null });
      expect(receipt.signals.map(({ signal }) => signal)).toEqual(["SIGTERM"]);
      expect(receipt.evidence.remaining.join()).toContain("lives");
      await expectServing(life);
    });

    it("is forced when it refuses and the hook allows to kill: case 10", async () => {
      const life = await serve(neverSavesByItself, [
        ...lastSaveFails(),
        "--grace-ms",
        "1000",
        "--kill-allowed",
      ]);
      await write(1);
      const receipt = await life.stop();
      expect(receipt).toMatchObject({ outcome: "forced", exit: { signal: "SIGKILL" } });
      expect(receipt.signals.map(({ signal }) => signal)).toEqual(["SIGTERM", "SIGKILL"]);
    });

    it("is refused without the password, and stops with it", async () => {
      const settings = [...neverSavesByItself, "--requirepass", "sesame"];
      const command = asServerUser([server, "--port", String(port), "--dir", bed.data, ...settings]);
      const options = ["--application-port", String(port)];
      const answers = () =>
        until(
          "the server answers",
          async () => (await ask("ping").catch(() => "")).startsWith("NOAUTH"),
          upMs,
        );
      const without = await bed.begin({ preset, options, command });
      await answers();
      const refused = await without.stop();
      expect(refused).toMatchObject({ outcome: "refused", signals: [] });
      expect(refused.phases[0]?.detail).toContain("NOAUTH");
      process.kill(await without.mainPid(), "SIGTERM");
      await until("it is gone", async () => (await without.members()).length === 0);
      const knowing = await bed.begin({ preset, options, command, environment: { REDISCLI_AUTH: "sesame" } });
      await answers();
      expect(await knowing.stop()).toMatchObject(graceful);
      expect(knowing.output()).not.toContain("sesame");
    });

    it("that a quiesce command shuts down is graceful without a signal: case 12", async () => {
      const settings = ["--save", ""];
      const shutdown = `! ${client} -p ${port} shutdown save | grep .`;
      const life = await serve(settings, ["--quiesce", shutdown]);
      await write(2);
      expect(await life.stop()).toMatchObject({ ...graceful, signals: [] });
      await life.leave();
      await serve(settings);
      await expectAllKept();
    });
  });
}
