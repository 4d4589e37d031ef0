import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { until } from "../containers/until.ts";
import { type PresetBed, asServerUser, createPresetBed } from "./preset-bed.ts";

/** Appends numbers, tells each once it is in the file, and marks the end. */
const recorder = `n=0; trap 'echo end >> "$1"; exit 0' TERM
while :; do n=$((n + 1)); echo "$n" >> "$1"; echo "acknowledged $n"; sleep 0.02; done`;

describe("any program under the preset generic", () => {
  let bed: PresetBed;
  beforeEach(async () => {
    bed = await createPresetBed();
  });
  afterEach(() => bed.end());

  const file = () => join(bed.data, "written");
  const written = async () => (await readFile(file(), "utf8")).trimEnd().split("\n");
  const serve = async (script: string) => {
    const life = await bed.begin({
      preset: "generic",
      command: asServerUser(["sh", "-c", script, "sh", file()]),
    });
    await until("it writes", () => life.output().includes("acknowledged 5\n"));
    return life;
  };
  const acknowledgedIn = (output: string) =>
    [...output.matchAll(/^acknowledged (\d+)$/gm)].map(([, n = ""]) => n);

  it("is asked by SIGTERM, ends as it likes, and keeps what it acknowledged over the next start", async () => {
    const life = await serve(recorder);
    expect(await life.stop()).toMatchObject({
      outcome: "graceful",
      evidenceClass: "proven",
      exit: { code: 0, signal: null },
    });
    await life.leave();
    const before = await written();
    expect(before.pop()).toBe("end");
    expect(before).toEqual(expect.arrayContaining(acknowledgedIn(life.output())));
    await serve(recorder);
    expect((await written()).slice(0, before.length)).toEqual(before);
  });

  it("is asked behind a shell that passes nothing on, by a signal to every process: case 13", async () => {
    const life = await serve(`sh -c '${recorder.replaceAll("'", `'\\''`)}' sh "$1"; true`);
    const receipt = await life.stop();
    // The outer shell dies by the signal: whatever the inner one did, its status is not known.
    expect(receipt).toMatchObject({ outcome: "crashed-during-stop", evidenceClass: "proven" });
    expect((await written()).at(-1)).toBe("end");
    expect(await life.members()).toEqual([]);
  });
});
