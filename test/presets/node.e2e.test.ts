import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { until } from "../containers/until.ts";
import { fetchOnce, isAccepting } from "./http-client.ts";
import { type PresetBed, asServerUser, createPresetBed, freePort } from "./preset-bed.ts";

const application = fileURLToPath(new URL("fixtures/http-application.ts", import.meta.url));

describe("Node under the preset node", () => {
  let bed: PresetBed;
  let port: number;
  beforeEach(async () => {
    bed = await createPresetBed();
    port = await freePort();
  });
  afterEach(() => bed.end());

  const serve = async (
    environment: Readonly<Record<string, string>>,
    command: readonly string[] = [process.execPath, application],
  ) => {
    const life = await bed.begin({
      preset: "node",
      options: ["--application-port", String(port)],
      command: asServerUser(command),
      environment,
    });
    await until("it answers", () => isAccepting(port), 60_000);
    return life;
  };
  /** Begins a request that is under way when this resolves. */
  const ask = async () => {
    const slow = fetchOnce(port, "/slow");
    slow.catch(() => undefined);
    await fetchOnce(port, "/");
    return { slow };
  };

  it("answers a request that is under way, refuses new ones, and ends", async () => {
    const life = await serve({ ANSWER_MS: "3000", EXIT_CODE: "0" });
    const { slow } = await ask();
    const stopped = life.stop();
    await until("new clients are refused", async () => !(await isAccepting(port)));
    expect(await slow).toEqual({ status: 200, body: "done" });
    expect(await stopped).toMatchObject({ outcome: "graceful", evidenceClass: "proven", exit: { code: 0 } });
  });

  it("that ends with a failure is not graceful", async () => {
    const life = await serve({ ANSWER_MS: "0", EXIT_CODE: "3" });
    expect(await life.stop()).toMatchObject({ outcome: "crashed-during-stop", exit: { code: 3 } });
  });

  it("that does not listen to SIGTERM is not graceful: its requests are cut off", async () => {
    const life = await serve({ ANSWER_MS: "60000" });
    const { slow } = await ask();
    expect(await life.stop()).toMatchObject({
      outcome: "crashed-during-stop",
      evidenceClass: "proven",
      exit: { code: null, signal: "SIGTERM" },
    });
    await expect(slow).rejects.toThrow("socket hang up");
  });

  it("behind npm start answers a request that is under way, but its exit status is npm's", async () => {
    const start = `${process.execPath} ${application}`;
    await writeFile(join(bed.data, "package.json"), JSON.stringify({ scripts: { start } }));
    const life = await serve({ ANSWER_MS: "3000", EXIT_CODE: "0" }, ["npm", "--prefix", bed.data, "start"]);
    const { slow } = await ask();
    const receipt = await life.stop();
    expect(await slow).toEqual({ status: 200, body: "done" });
    // npm ends itself by the signal, before the application did: how that one ended is never known.
    expect(receipt).toMatchObject({
      outcome: "crashed-during-stop",
      evidenceClass: "proven",
      exit: { code: null, signal: "SIGTERM" },
    });
    expect(await life.members()).toEqual([]);
  });
});
