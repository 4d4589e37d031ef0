import { execFileSync } from "node:child_process";
import { afterEach, describe, expect, it } from "vitest";
import { type Bed, createBed } from "./fixtures/agent-bed.ts";

let bed: Bed;
afterEach(() => bed.end());

const old = { accessKeyId: "AKOLD", secretAccessKey: "old-secret" };
const renewed = { accessKeyId: "AKNEW", secretAccessKey: "new-secret" };

async function environmentOf(): Promise<Record<string, string>> {
  const answer = await fetch(`http://127.0.0.1:${bed.config.applicationPort}/environment`);
  return (await answer.json()) as Record<string, string>;
}
/** What the application is answered when it asks as it was told to. */
async function asked(): Promise<{ status: number; key: unknown }> {
  const told = await environmentOf();
  const answer = await fetch(told["AWS_CONTAINER_CREDENTIALS_FULL_URI"] ?? "", {
    headers: { authorization: told["AWS_CONTAINER_AUTHORIZATION_TOKEN"] ?? "" },
  });
  const text = await answer.text();
  return {
    status: answer.status,
    key: text === "" ? null : (JSON.parse(text) as { AccessKeyId: string }).AccessKeyId,
  };
}
/** Neither on disk, nor told by anybody but the endpoint. */
function expectSecret(...told: unknown[]): void {
  const seen = JSON.stringify(told) + bed.logs.join();
  for (const secret of [old.secretAccessKey, renewed.secretAccessKey]) {
    expect(seen).not.toContain(secret);
    // grep's exit status 1: in no file.
    expect(() => execFileSync("grep", ["-r", secret, bed.config.stateDirectory])).toThrow(/Command failed/);
  }
}

describe("a data key that the agent serves", () => {
  it("is replaced under the run, and is in no environment, file, status or log", async () => {
    bed = await createBed({ environment: { AWS_ACCESS_KEY_ID: "AKOTHER" } });
    const started = await bed.run({ dataKey: old });
    const environment = await environmentOf();
    expect(environment).not.toHaveProperty("AWS_ACCESS_KEY_ID");
    expect(JSON.stringify(environment)).not.toContain(old.secretAccessKey);
    expect(await asked()).toEqual({ status: 200, key: old.accessKeyId });
    const [{ pid } = { pid: 0 }] = await bed.processes();

    const taken = await bed.postKeys({ ...started, dataKey: renewed });
    expect(taken).toMatchObject({ status: 200, body: { fetchedAt: null } });
    expect(await asked()).toEqual({ status: 200, key: renewed.accessKeyId });
    const again = await bed.postKeys({ ...started, dataKey: renewed });
    expect(again.body).toMatchObject({ fetchedAt: expect.any(String) as string });
    expect((await bed.processes()).map((each) => each.pid)).toEqual([pid]);
    expect(await bed.effects()).toEqual(["exec"]);
    expectSecret(taken, again, await bed.status());
  });

  it("is not replaced for another run or epoch, by a token used before, or by another body than was signed", async () => {
    bed = await createBed();
    const { run, epoch } = await bed.run({ dataKey: old });
    const refused = [
      [{ run: { ...run, counter: 2 }, epoch, dataKey: renewed }, 409, "wrong-state"],
      [{ run, epoch: epoch + 1, dataKey: renewed }, 409, "wrong-state"],
      [{ run, epoch: epoch - 1, dataKey: renewed }, 403, "stale-epoch"],
    ] as const;
    for (const [command, status, code] of refused) {
      const answer = await bed.postKeys(command);
      expect(answer).toMatchObject({ status, body: { code } });
      expectSecret(answer);
    }
    const body = JSON.stringify({ key: old });
    const bodySha256 = "0".repeat(64);
    const token = await bed.sign({ kind: "keys", run, bodySha256 }, epoch);
    expect(await bed.post("/v1/keys", token, body)).toMatchObject({ status: 401 });
    expect(await bed.post("/v1/keys", token, body)).toMatchObject({ body: { code: "token-replayed" } });
    expect(await asked()).toEqual({ status: 200, key: old.accessKeyId });
  });

  it("is refused in words that do not quote it, when it is none", async () => {
    bed = await createBed();
    const started = await bed.run({ dataKey: old });
    const broken = { ...renewed, accessKeyId: "", sessionToken: 7 } as unknown as typeof renewed;
    const answer = await bed.postKeys({ ...started, dataKey: broken });
    expect(answer).toMatchObject({ status: 400, body: { code: "invalid-request" } });
    expectSecret(answer);
  });

  it("is refused by an application that got its own in its environment, and where nothing runs", async () => {
    bed = await createBed();
    const started = await bed.run({ environment: { AWS_SECRET_ACCESS_KEY: old.secretAccessKey } });
    const answer = await bed.postKeys({ ...started, dataKey: renewed });
    expect(answer).toMatchObject({ status: 409, body: { code: "wrong-state" } });
    expect(answer.body.detail).toContain("in its environment");
    await bed.receipt((await bed.postStop(started)).key);
    const later = await bed.postKeys({ ...started, dataKey: renewed });
    expect(later.body.detail).toBe("cannot replace the key: nothing runs here");
    expectSecret(answer, later);
  });

  it("ends with its run", async () => {
    bed = await createBed();
    const started = await bed.run({ dataKey: old });
    const { AWS_CONTAINER_CREDENTIALS_FULL_URI: uri = "" } = await environmentOf();
    await bed.receipt((await bed.postStop(started)).key);
    await expect(fetch(uri)).rejects.toThrow("fetch failed");
  });

  it("is not there after the agent's restart, until it is sent again", async () => {
    bed = await createBed();
    const started = await bed.run({ dataKey: old });
    expect((await asked()).status).toBe(200);
    await bed.agent.close();
    await bed.begin();
    expect(await asked()).toEqual({ status: 503, key: null });
    const taken = await bed.postKeys({ ...started, dataKey: renewed });
    expect(taken).toMatchObject({
      status: 200,
      body: { fetchedAt: null, oldUntil: expect.any(String) as string },
    });
    expect(await asked()).toEqual({ status: 200, key: renewed.accessKeyId });
    expectSecret(taken, await bed.status());
  });
});
