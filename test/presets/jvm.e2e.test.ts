import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { until } from "../containers/until.ts";
import { findPart } from "./find-program.ts";
import { type PresetBed, asServerUser, createPresetBed } from "./preset-bed.ts";

const source = fileURLToPath(new URL("fixtures/Server.java", import.meta.url));
const { paths, options } = findPart("a JDK", ["java", "javac"]);
const [java = "", javac = ""] = paths;

describe("a Java program under the preset jvm", options, () => {
  let classes: string;
  let bed: PresetBed;
  beforeAll(async () => {
    classes = await mkdtemp(join(tmpdir(), "baton-java-"));
    await promisify(execFile)(javac, ["-d", classes, source], { timeout: 100_000 });
    await promisify(execFile)("chmod", ["-R", "a+rX", classes]);
  }, 120_000);
  afterAll(() => rm(classes, { recursive: true }));
  beforeEach(async () => {
    bed = await createPresetBed();
  });
  afterEach(() => bed.end());

  const written = () => readFile(join(bed.data, "written"), "utf8");
  const serve = async (
    hook: "finish" | "hang" | "fail",
    jvm: readonly string[] = [],
    more: string[] = [],
  ) => {
    const life = await bed.begin({
      preset: "jvm",
      options: more,
      command: asServerUser([java, ...jvm, "-cp", classes, "Server", join(bed.data, "written"), hook]),
    });
    await until("it writes", () => life.output().includes("acknowledged 10\n"), 60_000);
    return life;
  };

  it("runs its shutdown hooks and ends with 143, which is graceful", async () => {
    const life = await serve("finish");
    const receipt = await life.stop();
    expect(receipt).toMatchObject({
      outcome: "graceful",
      evidenceClass: "proven",
      exit: { code: 143, signal: null },
      signals: [{ signal: "SIGTERM", processes: 1 }],
    });
    const lines = (await written()).trimEnd().split("\n");
    expect(lines.pop()).toBe("end");
    const acknowledged = [...life.output().matchAll(/^acknowledged (\d+)$/gm)].map(([, n]) => n);
    expect(acknowledged.length).toBeGreaterThan(9);
    expect(lines).toEqual(expect.arrayContaining(acknowledged));
  });

  it("that takes no signals (-Xrs) dies by it with no hook run: not graceful", async () => {
    const life = await serve("finish", ["-Xrs"]);
    expect(await life.stop()).toMatchObject({
      outcome: "crashed-during-stop",
      evidenceClass: "proven",
      exit: { code: null, signal: "SIGTERM" },
    });
    expect(await written()).not.toContain("end");
  });

  it("whose hook fails the process is not graceful", async () => {
    const life = await serve("fail");
    expect(await life.stop()).toMatchObject({ outcome: "crashed-during-stop", exit: { code: 3 } });
  });

  it("whose hook hangs is refused, not killed, and goes on writing", async () => {
    const life = await serve("hang", [], ["--grace-ms", "1000"]);
    const receipt = await life.stop();
    expect(receipt).toMatchObject({ outcome: "refused", exit: null });
    const before = (await written()).length;
    await until("it writes on", async () => (await written()).length > before);
  });
});
