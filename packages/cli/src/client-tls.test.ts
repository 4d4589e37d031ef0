import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connect, connectAsAnybody } from "./connection.ts";

const directory = await mkdtemp(join(tmpdir(), "baton-client-"));
const [caFile, keyFile] = [join(directory, "tls.crt"), join(directory, "tls.key")];
const line = `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=baton -addext subjectAltName=IP:127.0.0.1 -keyout ${keyFile} -out ${caFile}`;
const missing = await promisify(execFile)("openssl", line.split(" ")).then(
  () => false,
  (error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return true;
    throw error;
  },
);
afterAll(() => rm(directory, { recursive: true }));
const needs = { part: "openssl", reason: "no openssl on PATH to make certificates with" };

describe("an orchestrator behind TLS", { skip: missing, meta: { needs } }, () => {
  const heard: (string | undefined)[] = [];
  let status = 200;
  const server = createServer(({ headers }, response) => {
    heard.push(headers.authorization);
    response.writeHead(status).end(JSON.stringify({ items: [] }));
  });
  let url = "";
  beforeAll(async () => {
    server.setSecureContext({ cert: await readFile(caFile), key: await readFile(keyFile) });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });
  const at = (more: object = {}) => ({ url, stateDirectory: directory, token: "secret", ...more });

  it("is asked with the file of who certified it", async () => {
    const client = await connect(at({ caFile }));
    expect(await client.storages()).toEqual([]);
    expect(heard).toEqual(["Bearer secret"]);
  });

  it("gets no token from whoever does not trust it, and is told what to do", async () => {
    heard.length = 0;
    const client = await connect(at());
    await expect(client.storages()).rejects.toThrow(
      `cannot reach the orchestrator at ${url}: nobody who is trusted certified it; see --ca-file and BATON_CA_FILE, and the address`,
    );
    const elsewhere = await connect(at({ caFile, url: url.replace("127.0.0.1", "localhost") }));
    await expect(elsewhere.storages()).rejects.toThrow("its certificate is for another name");
    expect(heard).toEqual([]);
  });

  it("says without a token whether it is ready", async () => {
    heard.length = 0;
    const client = await connectAsAnybody({ url, stateDirectory: directory, caFile });
    expect(await client.readyz()).toBe(true);
    status = 503;
    expect(await client.readyz()).toBe(false);
    expect(heard).toEqual([undefined, undefined]);
  });

  it("is not asked with a file that holds no certificate", async () => {
    for (const wrong of [keyFile, join(directory, "none")])
      await expect(connect(at({ caFile: wrong }))).rejects.toThrow(`cannot trust ${wrong}`);
  });
});
