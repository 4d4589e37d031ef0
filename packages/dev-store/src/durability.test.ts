import { appendFile, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { once } from "node:events";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readCommitLog, readCommittedBody } from "./commit-log.ts";
import { startDevStore, type DevStore, type DevStoreOptions } from "./dev-store.ts";
import { send, sign, temporaryDirectory, testKeys } from "./test-store.ts";

let directory: string;
let remove: () => Promise<void>;
let store: DevStore;

beforeEach(async () => {
  ({ directory, remove } = await temporaryDirectory());
  store = await startDevStore({ directory, keys: testKeys });
});
afterEach(async () => {
  await store.close();
  await remove();
});

async function restart(options: Partial<DevStoreOptions> = {}): Promise<void> {
  await store.close();
  store = await startDevStore({ directory, keys: testKeys, ...options });
}

function put(key: string, body: string, headers: Record<string, string> = {}) {
  return send({ method: "PUT", url: `${store.endpoint}/harbor/${key}`, body, headers });
}

async function get(key: string): Promise<string> {
  return (await send({ method: "GET", url: `${store.endpoint}/harbor/${key}` })).text;
}

describe("the commit log", () => {
  it("has one line for every accepted write, in order, with the bytes of every version", async () => {
    const etag = (await put("a", "one", { "if-none-match": "*" })).headers.get("etag") ?? "";
    expect((await put("a", "refused", { "if-none-match": "*" })).status).toBe(412);
    await put("a", "two", { "if-match": etag });
    await send({ method: "DELETE", url: `${store.endpoint}/harbor/a` });

    const log = await readCommitLog(directory);
    expect(log).toEqual(store.log());
    const common = { bucket: "harbor", key: "a", accessKeyId: "ALL" };
    expect(log).toMatchObject([
      { sequence: 1, operation: "put", condition: "absent", etag, size: 3, ...common },
      { sequence: 2, operation: "put", condition: "match", size: 3, ...common },
      { sequence: 3, operation: "delete", condition: "none", etag: null, size: 0, file: null, ...common },
    ]);
    const bodies = await Promise.all(log.slice(0, 2).map((entry) => readCommittedBody(directory, entry)));
    expect(bodies.map((body) => Buffer.from(body).toString())).toEqual(["one", "two"]);
    expect(await readdir(join(directory, "bodies"))).toHaveLength(2);
  });

  it("continues after a restart", async () => {
    await put("a", "one");
    await put("b", "two");
    await send({ method: "DELETE", url: `${store.endpoint}/harbor/b` });
    await restart();
    expect(await get("a")).toBe("one");
    expect(await get("b")).toContain("NoSuchKey");
    expect((await put("a", "three", { "if-none-match": "*" })).status).toBe(412);
    await put("c", "three");
    expect((await readCommitLog(directory)).map((entry) => entry.sequence)).toEqual([1, 2, 3, 4]);
  });

  it("loses a torn last line at a restart, and bodies that no line names", async () => {
    await put("a", "one");
    await appendFile(join(directory, "commits.jsonl"), '{"sequence":2,"at":"2026-');
    await writeFile(join(directory, "bodies", "uncommitted"), "half");
    expect(await readCommitLog(directory)).toHaveLength(1);
    await restart();
    await put("b", "two");
    expect((await readCommitLog(directory)).map((entry) => entry.key)).toEqual(["a", "b"]);
    expect(await readdir(join(directory, "bodies"))).toHaveLength(2);
  });

  it("is refused when a line in its middle is damaged", async () => {
    await put("a", "one");
    const path = join(directory, "commits.jsonl");
    await writeFile(path, `garbage\n${await readFile(path, "utf8")}`);
    await expect(readCommitLog(directory)).rejects.toThrow("line 1 is not commit 1");
    await expect(restart()).rejects.toThrow("line 1 is not commit 1");
  });

  it("is refused where there is none", async () => {
    await expect(readCommitLog(join(directory, "elsewhere"))).rejects.toThrow("ENOENT");
  });
});

describe("the store", () => {
  it("never commits a body that its client sent only half of", async () => {
    const body = "x".repeat(1000);
    const { url, headers } = await sign({ method: "PUT", url: `${store.endpoint}/harbor/half`, body });
    const lines = [...headers].map(([name, value]) => `${name}: ${value}`);
    const head = [`PUT ${url.pathname} HTTP/1.1`, `host: ${url.host}`, "content-length: 1000", ...lines];
    for (const sent of [0, 1, 999]) {
      for (const leave of ["end", "destroy"] as const) {
        const socket = connect(Number(url.port), url.hostname);
        socket.on("error", () => undefined);
        await once(socket, "connect");
        socket.write(`${head.join("\r\n")}\r\n\r\n${body.slice(0, sent)}`);
        await expect.poll(() => readdir(join(directory, "bodies"))).toHaveLength(1);
        socket[leave]();
        await expect.poll(() => readdir(join(directory, "bodies"))).toHaveLength(0);
        socket.destroy();
      }
    }
    expect(store.log()).toEqual([]);
    expect((await put("half", body)).status).toBe(200);
  });

  it("refuses a directory that another store has, and leaves that one working", async () => {
    await expect(startDevStore({ directory, keys: testKeys })).rejects.toThrow("in use by another process");
    await expect(startDevStore({ directory, keys: testKeys })).rejects.toThrow("in use by another process");
    expect((await put("a", "one")).status).toBe(200);
  });

  it("answers a refusal before it has the body, and uses the connection again", async () => {
    const url = `${store.endpoint}/harbor/large`;
    const body = Buffer.alloc(5_000_000);
    expect((await send({ method: "PUT", url, body, secretAccessKey: "wrong" })).status).toBe(403);
    expect((await send({ method: "PUT", url, body })).status).toBe(200);
    expect((await stat(join(directory, store.log()[0]?.file ?? ""))).size).toBe(5_000_000);
  });

  it("accepts every conditional write when told to ignore conditions", async () => {
    await restart({ faults: { ignoreConditions: true } });
    const statuses = [
      await put("a", "1", { "if-none-match": "*" }),
      await put("a", "2", { "if-none-match": "*" }),
      await put("a", "3", { "if-match": '"stale"' }),
      await put("missing", "4", { "if-match": '"stale"' }),
    ].map((answer) => answer.status);
    expect(statuses).toEqual([200, 200, 200, 200]);
    expect(store.log().map((entry) => entry.condition)).toEqual(["absent", "absent", "match", "match"]);
  });

  it("refuses a port that is taken and gives the directory back", async () => {
    const { directory: other, remove: removeOther } = await temporaryDirectory();
    const port = Number(new URL(store.endpoint).port);
    await expect(startDevStore({ directory: other, keys: testKeys, port })).rejects.toThrow(
      "cannot listen on",
    );
    await (await startDevStore({ directory: other, keys: testKeys })).close();
    await removeOther();
  });
});
